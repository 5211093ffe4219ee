//! ntfy: published as JSON at the server's root, since titles in headers must be ASCII.

use super::told::{Receiver, Target};
use crate::cut;
use crate::message::{Kind, Message};
use crate::request::Request;
use serde_json::json;

pub(super) const RECEIVER: Receiver = Receiver { name: "ntfy", request };

/// What is longer becomes an attachment.
const MESSAGE: usize = 4_096;
const TITLE: usize = 250;

fn request(message: &Message, target: &Target) -> Request {
    let (base, topic) = split(&target.url);
    let (priority, tag) = match message.kind {
        Kind::Failed => (4, "rotating_light"),
        Kind::Recovered => (3, "white_check_mark"),
        Kind::Drift => (3, "wrench"),
        Kind::Test => (2, "wave"),
    };
    let body = json!({
        "topic": topic,
        "title": cut::characters(&message.title, TITLE),
        "message": cut::bytes(&message.text, MESSAGE),
        "priority": priority,
        "tags": [tag, format!("keel-{}", message.id)],
    });
    Request::json(base.to_owned(), &body).bearer(target.token.as_deref())
}

/// The server, and the topic below it.
fn split(url: &str) -> (&str, &str) {
    let url = url.trim_end_matches('/');
    let at = url.rfind('/').map_or(0, |at| at + 1);
    url.split_at(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::sample;
    use serde_json::Value;

    #[test]
    fn the_topic_is_the_last_part_of_the_url() {
        let cases = [
            ("https://ntfy.sh/keel", "https://ntfy.sh/", "keel"),
            ("https://example.org/ntfy/keel/", "https://example.org/ntfy/", "keel"),
        ];
        for (url, base, topic) in cases {
            assert_eq!(split(url), (base, topic), "{url}");
        }
    }

    #[test]
    fn a_message_is_published_within_the_limits() {
        let url = "https://ntfy.sh/keel".to_owned();
        let target = Target { url, token: Some("tk_1".into()), ..Target::default() };
        let long = Message { text: "ä".repeat(3_000), ..sample(Kind::Failed) };
        let request = request(&long, &target);
        assert_eq!(request.url, "https://ntfy.sh/");
        assert_eq!(request.headers, [("authorization", "Bearer tk_1".to_owned())]);
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["topic"], &body["priority"]), (&"keel".into(), &4.into()));
        assert_eq!(body["title"], "web failed on shop");
        let text = body["message"].as_str().unwrap();
        assert!(text.len() <= MESSAGE && text.ends_with('…'));
    }
}
