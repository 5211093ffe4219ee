//! `notify` of `keel.yaml`: who is told.

use super::keys::{KINDS, RECEIVERS};
use super::named::Role;
use super::reader::Reader;
use super::{NotifyConfig, UrlFrom};
use keel_spec::{Item, Node};
use std::path::PathBuf;

/// What one entry says.
#[derive(Default)]
struct Written<'a> {
    receivers: Vec<(String, UrlFrom)>,
    token_file: Option<PathBuf>,
    secret_file: Option<(PathBuf, &'a Item)>,
    on: Option<Vec<String>>,
}

impl Reader {
    pub(super) fn notify(&mut self, item: &Item) -> Vec<NotifyConfig> {
        let entries = self.maps(item, "notify");
        entries.iter().filter_map(|entry| self.receiver(entry)).collect()
    }

    fn receiver(&mut self, item: &Item) -> Option<NotifyConfig> {
        let before = self.problems.len();
        let mut written = self.written_receiver(item);
        if self.problems.len() > before {
            return None;
        }
        if written.receivers.len() > 1 {
            self.wrong(item, "these are two receivers: give each its own entry of the list");
            return None;
        }
        let Some((kind, url)) = written.receivers.pop() else {
            let kinds: Vec<_> = RECEIVERS.iter().map(|kind| format!("`{kind}`")).collect();
            self.wrong(item, format!("no receiver is named; name one of {}", kinds.join(", ")));
            return None;
        };
        let secret_file = self.signing(&kind, written.secret_file)?;
        let all = || KINDS.iter().map(|kind| (*kind).to_owned()).collect();
        let on = written.on.unwrap_or_else(all);
        Some(NotifyConfig { kind, url, token_file: written.token_file, secret_file, on })
    }

    fn written_receiver<'a>(&mut self, item: &'a Item) -> Written<'a> {
        let mut written = Written::default();
        if !matches!(item.node, Node::Map(_)) {
            self.keys(item, "notify.*", "a receiver", |_, _, _| {});
            return written;
        }
        self.keys(item, "notify.*", "a receiver", |this, key, _| {
            let Some(value) = item.get(key) else { return };
            match key {
                "token-file" => written.token_file = this.file(value, Role::Secret),
                "secret-file" => {
                    written.secret_file = this.file(value, Role::Secret).map(|file| (file, value));
                }
                "on" => written.on = Some(this.some_words(value, "notify.*.on")),
                _ => written.receivers.extend(this.named_receiver(key, value)),
            }
        });
        written
    }

    /// `KIND: URL` or `KIND-file: PATH`.
    fn named_receiver(&mut self, key: &str, value: &Item) -> Option<(String, UrlFrom)> {
        if let Some(kind) = key.strip_suffix("-file") {
            let file = self.file(value, Role::Secret)?;
            return Some((kind.to_owned(), UrlFrom::File(file)));
        }
        let url = self.http_url(value)?;
        if key == "ntfy" && !names_a_topic(&url) {
            self.wrong(value, "a topic is needed at its end: https://ntfy.example.org/TOPIC");
            return None;
        }
        Some((key.to_owned(), UrlFrom::Text(url)))
    }

    /// A secret that signs nothing would be believed to.
    fn signing(&mut self, kind: &str, secret: Option<(PathBuf, &Item)>) -> Option<Option<PathBuf>> {
        let Some((file, at)) = secret else { return Some(None) };
        if kind != "webhook" {
            let words =
                format!("`secret-file` signs a webhook's body; {kind} takes a `token-file`");
            self.wrong(at, words);
            return None;
        }
        Some(Some(file))
    }
}

fn names_a_topic(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    !url.path().trim_matches('/').is_empty() && url.query().is_none() && url.fragment().is_none()
}
