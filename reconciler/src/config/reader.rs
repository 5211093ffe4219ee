//! Walks the tree of `keel.yaml` and collects what is wrong with it: every problem, not the first.

use super::duration::parse_duration;
use super::keys::{Shape, below, find};
use super::named::{Named, Role};
use super::size::parse_size;
use keel_spec::{Code, Entry, Item, Node, Problem, Span};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What was found so far.
#[derive(Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
    pub files: Vec<Named>,
}

impl Reader {
    pub fn wrong(&mut self, at: &Item, message: impl Into<String>) {
        self.tell(&at.span, message, None);
    }

    pub fn wrong_key(&mut self, entry: &Entry, message: impl Into<String>) {
        self.tell(&entry.at, message, None);
    }

    fn tell(&mut self, at: &Span, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem::new(Code::Config, message).at(at.clone());
        self.problems.push(Problem { hint, ..problem });
    }

    /// The keys below this path of the table, each handed to `known`; the others are refused by
    /// name. `what` is how people call the place.
    pub fn keys(
        &mut self,
        item: &Item,
        home: &str,
        what: &str,
        mut known: impl FnMut(&mut Self, &str, &Item),
    ) {
        for entry in self.entries(item, what) {
            let key = &entry.key;
            let path = if home.is_empty() { key.clone() } else { format!("{home}.{key}") };
            match find(&path).map(|row| row.shape) {
                Some(Shape::NotYet) => {
                    self.wrong_key(
                        entry,
                        format!("this version does not obey the key `{key}` in {what}"),
                    );
                }
                Some(_) => known(self, key, &entry.value),
                None => {
                    let names = below(home).map(|(name, _)| name);
                    let hint = keel_spec::nearest::hint(key, names);
                    self.tell(&entry.at, format!("unknown key `{key}` in {what}"), hint);
                }
            }
        }
    }

    /// Names that people chose.
    pub fn named(&mut self, item: &Item, what: &str, mut each: impl FnMut(&mut Self, &Entry)) {
        for entry in self.entries(item, what) {
            each(self, entry);
        }
    }

    fn entries<'a>(&mut self, item: &'a Item, what: &str) -> &'a [Entry] {
        match &item.node {
            Node::Map(entries) => entries,
            // A heading whose keys are all commented out.
            _ if item.is_null() => &[],
            _ => {
                self.wrong(item, format!("{what} must be a map of keys"));
                &[]
            }
        }
    }

    pub fn text(&mut self, item: &Item) -> Option<String> {
        let text = item.text().filter(|text| !text.is_empty());
        if text.is_none() {
            self.wrong(item, "a text is needed here");
        }
        text.map(str::to_owned)
    }

    /// One text, or a list of them.
    pub fn texts(&mut self, item: &Item) -> Vec<String> {
        match &item.node {
            Node::List(_) => self.list(item),
            _ => self.text(item).into_iter().collect(),
        }
    }

    pub fn list(&mut self, item: &Item) -> Vec<String> {
        let Node::List(items) = &item.node else {
            self.wrong(item, "a list is needed here");
            return vec![];
        };
        items.iter().filter_map(|item| self.text(item)).collect()
    }

    /// One of the words that the table has for this key.
    pub fn word(&mut self, item: &Item, path: &str) -> Option<String> {
        match find(path).map(|row| row.shape) {
            Some(Shape::Words(words)) => self.one_of(item, path, words),
            _ => self.text(item),
        }
    }

    fn one_of(&mut self, item: &Item, path: &str, words: &[&str]) -> Option<String> {
        let text = self.text(item)?;
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        let name = path.rsplit('.').next().unwrap_or(path);
        let hint = keel_spec::nearest::hint(&text, words.iter().copied());
        let words = format!("`{name}` is one of {}, not `{text}`", quoted.join(", "));
        self.tell(&item.span, words, hint);
        None
    }

    /// Several of the words that the table has for this key.
    pub fn some_words(&mut self, item: &Item, path: &str) -> Vec<String> {
        let (words, may_be_empty) = match find(path).map(|row| row.shape) {
            Some(Shape::SomeWords(words)) => (words, false),
            Some(Shape::AnyWords(words)) => (words, true),
            _ => return vec![],
        };
        let Node::List(items) = &item.node else {
            self.wrong(item, "a list is needed here");
            return vec![];
        };
        if items.is_empty() && !may_be_empty {
            self.wrong(item, "the list is empty: leave it out to be told of all");
        }
        items.iter().filter_map(|item| self.one_of(item, path, words)).collect()
    }

    /// The items of a list of maps.
    pub fn maps<'a>(&mut self, item: &'a Item, what: &str) -> &'a [Item] {
        match &item.node {
            Node::List(items) => items,
            _ if item.is_null() => &[],
            _ => {
                self.wrong(item, format!("{what} must be a list: `- ` before each of them"));
                &[]
            }
        }
    }

    pub fn flag(&mut self, item: &Item) -> Option<bool> {
        match item.text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                self.wrong(item, "`true` or `false` is needed here");
                None
            }
        }
    }

    pub fn duration(&mut self, item: &Item) -> Option<Duration> {
        let text = self.text(item)?;
        let duration = parse_duration(&text);
        if duration.is_none() {
            self.wrong(item, format!("`{text}` is not a duration, such as `90s`, `2m` or `1m30s`"));
        }
        duration
    }

    pub fn size(&mut self, item: &Item) -> Option<u64> {
        let text = self.text(item)?;
        let size = parse_size(&text).filter(|size| *size > 0);
        if size.is_none() {
            self.wrong(item, format!("`{text}` is not a size, such as `500MiB` or `2GiB`"));
        }
        size
    }

    pub fn millis(&mut self, item: &Item) -> Option<u64> {
        let duration = self.duration(item)?;
        u64::try_from(duration.as_millis()).ok()
    }

    /// A path of this machine: `keel serve` may be started anywhere, so it begins with `/`.
    pub fn path(&mut self, item: &Item) -> Option<PathBuf> {
        let text = self.text(item)?;
        if Path::new(&text).is_absolute() {
            return Some(PathBuf::from(text).components().collect());
        }
        self.wrong(item, format!("`{text}` must be a whole path, from `/` on"));
        None
    }

    /// Where something answers over HTTP.
    pub fn http_url(&mut self, item: &Item) -> Option<String> {
        let text = self.text(item)?;
        // The parser leaves line breaks out silently, which makes another address.
        let url = Some(text.as_str()).filter(|text| !text.contains(char::is_control));
        let url = url.and_then(|text| reqwest::Url::parse(text).ok());
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(reqwest::Url::has_host) else {
            self.wrong(
                item,
                "this is not a URL: it begins with https:// or http://, and names a host",
            );
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() {
            self.wrong(item, "the URL names a user: take it out of there, and use `token-file`");
            return None;
        }
        Some(text)
    }

    /// A file that must be there when it is used; [`super::file_checks`] looks at all of them.
    pub fn file(&mut self, item: &Item, role: Role) -> Option<PathBuf> {
        let path = self.path(item)?;
        self.files.push(Named { path: path.clone(), role, at: item.span.clone() });
        Some(path)
    }
}
