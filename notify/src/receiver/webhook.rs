//! A webhook: the message as JSON, signed where there is a secret. `text` is what Slack and
//! Mattermost show, `content` what Discord does, so that their URLs work as they are.

use super::told::{Receiver, Target};
use crate::cut;
use crate::message::Message;
use crate::request::Request;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub(super) const RECEIVER: Receiver = Receiver { name: "webhook", request };

/// Of the body's shape: fields are added, none is removed or changes its meaning.
const VERSION: u32 = 1;
/// Discord refuses more.
const CONTENT: usize = 2_000;

fn request(message: &Message, target: &Target) -> Request {
    let request = Request::json(target.url.clone(), &body(message));
    let signature = target.secret.as_deref().map(|secret| signature(secret, &request.body));
    let request = request.header("idempotency-key", &message.id).bearer(target.token.as_deref());
    match signature {
        Some(signature) => request.header("x-signature", signature),
        None => request,
    }
}

fn body(message: &Message) -> Value {
    let text = harmless(&message.text);
    json!({
        "version": VERSION,
        "id": message.id,
        "incident": message.incident,
        "kind": message.kind.word(),
        "host": message.host,
        "stack": message.stack,
        "stacks": message.stacks,
        "source": message.source,
        "revision": message.revision,
        "author": message.author,
        "subject": message.subject,
        "reason": message.reason,
        "tried": message.tried,
        "since": message.since,
        "at": message.at,
        "command": message.commands.first().cloned().unwrap_or_default(),
        "commands": message.commands,
        "findings": message.findings,
        "title": message.title,
        "content": cut::characters(&text, CONTENT),
        "allowed_mentions": { "parse": [] },
        "text": text,
    })
}

/// Chats read commands in it, and whoever writes a commit could call everybody: `<!channel>`,
/// `@all`.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '<' => out.push('‹'),
            '>' => out.push('›'),
            // An address of somebody's mail is none.
            '@' if !before.is_alphanumeric() => out.push_str("@\u{200b}"),
            c => out.push(c),
        }
        before = c;
    }
    out
}

fn signature(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Kind;
    use crate::receiver::sample;

    #[test]
    fn the_body_has_a_documented_shape() {
        let target = Target { url: "https://example.org/hook".into(), ..Target::default() };
        let request = request(&sample(Kind::Failed), &target);
        assert_eq!(request.url, "https://example.org/hook");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
        {
          "allowed_mentions": {
            "parse": []
          },
          "at": "2026-01-02T03:04:35Z",
          "author": "Ann <ann@example.org>",
          "command": "keel history show 7",
          "commands": [
            "keel history show 7",
            "keel sync web --retry"
          ],
          "content": "web failed on shop: web.1 exited (1) 3 times",
          "findings": [],
          "host": "shop",
          "id": "18c-1",
          "incident": "18c-0",
          "kind": "failed",
          "reason": "web.1 exited (1) 3 times",
          "revision": "3f9c2a1b5d7e9f0011223344556677889900aabb",
          "since": "2026-01-02T03:04:05Z",
          "source": "home",
          "stack": "web",
          "stacks": [
            "web"
          ],
          "subject": "Faster",
          "text": "web failed on shop: web.1 exited (1) 3 times",
          "title": "web failed on shop",
          "tried": "revision 1b5d7e9f3f9c runs instead",
          "version": 1
        }
        "#);
        assert_eq!(request.headers, [("idempotency-key", "18c-1".to_owned())]);
    }

    #[test]
    fn a_secret_signs_the_body_and_a_token_goes_along() {
        let cases = [
            (
                "It's a Secret to Everybody",
                "Hello, World!",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            (
                "keel-test-secret",
                "{\"ref\":\"refs/heads/main\"}",
                "sha256=c96eb37c936d9597b9c86eb4139f02407541a4548441c5feaba5ae8bef583fec",
            ),
        ];
        for (secret, body, expected) in cases {
            assert_eq!(signature(secret.as_bytes(), body.as_bytes()), expected);
        }
        let secret = Some(b"keel-test-secret".to_vec());
        let target = Target { secret, token: Some("t0ken".into()), ..Target::default() };
        let request = request(&sample(Kind::Failed), &target);
        let expected = signature(b"keel-test-secret", &request.body);
        assert!(request.headers.contains(&("x-signature", expected)));
        assert!(request.headers.contains(&("authorization", "Bearer t0ken".into())));
    }

    #[test]
    fn a_commit_calls_nobody() {
        let text = "by Ann: <!channel> @here, mail me at ann@example.org";
        let expected = "by Ann: ‹!channel› @\u{200b}here, mail me at ann@example.org";
        assert_eq!(harmless(text), expected);
        let long = Message { text: "ä".repeat(3_000), ..sample(Kind::Drift) };
        let body = body(&long);
        assert_eq!(body["content"].as_str().unwrap().chars().count(), CONTENT);
    }
}
