//! Where a value was written.
//!
//! # Invariants
//! - Lines and columns count from 1; columns and lengths count characters, not bytes.
//! - A span's file is the path that people are shown, and the key of its text in [`Texts`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

/// A stretch of text on one line of one file, and the chain that led there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The file, relative to the project as shown to people.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Length in characters on that line; 0 marks a place between two characters.
    pub len: u32,
    /// What else took part in the value, nearest first: what it overrides, who included it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<Link>,
}

/// One step of the chain behind a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    /// What the step was.
    pub how: Via,
    /// Where it was taken.
    pub at: Span,
}

/// How a value came from one place to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The value there was replaced by a later file's.
    Overrides,
    /// The service there extends the one that holds the value.
    Extends,
    /// The file was included there.
    Includes,
    /// The service names the env file there.
    EnvFile,
    /// The service names the label file there.
    LabelFile,
    /// The value took this variable's value from there.
    Variable(String),
    /// The anchored item was used there.
    Alias,
}

impl Span {
    /// A span without a chain.
    pub fn new(file: Arc<str>, line: u32, column: u32, len: u32) -> Self {
        Self { file, line, column, len, via: Vec::new() }
    }

    /// The same span, with one more step behind it.
    #[must_use]
    pub fn through(mut self, how: Via, at: Span) -> Self {
        self.via.push(Link { how, at });
        self
    }
}

impl Span {
    /// Adds a step behind it. Of very long chains the nearest part is kept.
    pub(crate) fn came_by(&mut self, link: &Link) {
        const MOST: usize = 16;
        if self.via.len() < MOST {
            self.via.push(link.clone());
        }
    }

    /// The chain in words: `overriding compose.yaml:12:5`, `from ${TAG} at .env:3:1`.
    pub fn chain(&self) -> Vec<String> {
        self.links().map(Link::to_string).collect()
    }

    /// The steps behind it, those of what it overrides included, nearest first.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        let mut left: Vec<&Link> = self.via.iter().rev().collect();
        std::iter::from_fn(move || {
            let link = left.pop()?;
            if link.how == Via::Overrides {
                left.extend(link.at.via.iter().rev());
            }
            Some(link)
        })
    }

    /// The place and its chain in one line:
    /// `compose.prod.yaml:7:5, overriding compose.yaml:12:5; from ${TAG} in .env:3`.
    pub fn story(&self) -> String {
        let (variables, steps): (Vec<&Link>, Vec<&Link>) =
            self.links().partition(|link| matches!(link.how, Via::Variable(_)));
        let mut story = self.to_string();
        for step in steps {
            story += &format!(", {step}");
        }
        for Link { how, at } in variables {
            if let Via::Variable(name) = how {
                story += &format!("; from ${{{name}}} in {}:{}", at.file, at.line);
            }
        }
        story.replace('`', "")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.at;
        match &self.how {
            Via::Overrides => write!(f, "overriding {at}"),
            Via::Extends => write!(f, "by `extends` at {at}"),
            Via::Includes => write!(f, "by `include` at {at}"),
            Via::LabelFile => write!(f, "by `label_file` at {at}"),
            Via::EnvFile => write!(f, "by `env_file` at {at}"),
            Via::Variable(name) => write!(f, "from `${{{name}}}` at {at}"),
            Via::Alias => write!(f, "used at {at}"),
        }
    }
}

/// `compose.yaml:12:7`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Spans by field path, as Compose writes it: `image`, `environment.TZ`, `ports[0]`,
/// `deploy.resources.limits.memory`. Indices are those of the typed model (a port range is one
/// line and several ports). What was given by default has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origins(BTreeMap<String, Span>);

impl Origins {
    /// The span of exactly this path.
    pub fn get(&self, path: &str) -> Option<&Span> {
        self.0.get(path)
    }

    /// The span of this path, or of the nearest one above it.
    pub fn nearest(&self, path: &str) -> Option<&Span> {
        let mut path = path;
        loop {
            if let Some(span) = self.0.get(path) {
                return Some(span);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// Says where `path` was written; the last one to say so wins.
    pub fn insert(&mut self, path: impl Into<String>, span: Span) {
        self.0.insert(path.into(), span);
    }

    /// All paths with their spans, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Span)> {
        self.0.iter().map(|(path, span)| (path.as_str(), span))
    }
}

/// The text of every file that was read, for excerpts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Texts(BTreeMap<Arc<str>, Text>);

/// A text that knows where its lines begin, once somebody has asked for one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
struct Text {
    text: Arc<str>,
    /// It may not be quoted: [`Texts::line`] does not give its lines.
    hidden: bool,
    starts: OnceLock<Arc<[usize]>>,
}

impl Text {
    /// One line, counted from 0, without its end.
    fn line(&self, index: usize) -> Option<&str> {
        let starts = self.starts.get_or_init(|| {
            let after = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after).collect()
        });
        let rest = self.text.get(*starts.get(index)?..)?;
        rest.lines().next()
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self { text, hidden: false, starts: OnceLock::new() }
    }
}

impl From<Text> for Arc<str> {
    fn from(text: Text) -> Self {
        if text.hidden { "".into() } else { text.text }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

impl Texts {
    /// Keeps the text of a file under the path that spans name it by.
    pub fn insert(&mut self, file: Arc<str>, text: Arc<str>) {
        self.0.insert(file, text.into());
    }

    /// The whole text of a file.
    pub fn get(&self, file: &str) -> Option<&Arc<str>> {
        self.0.get(file).map(|text| &text.text)
    }

    /// From now on nobody is shown a line of this file.
    pub(crate) fn hide(&mut self, file: &str) {
        if let Some(text) = self.0.get_mut(file) {
            text.hidden = true;
        }
    }

    /// Whether lines of this file are shown to nobody.
    pub(crate) fn is_hidden(&self, file: &str) -> bool {
        self.0.get(file).is_some_and(|text| text.hidden)
    }

    /// One line of a file, counted from 1, without its end; `None` also for a file that may not be
    /// quoted.
    pub fn line(&self, file: &str, line: u32) -> Option<&str> {
        self.any_line(file, line).filter(|_| !self.is_hidden(file))
    }

    /// The same for whoever shows it to nobody.
    pub(crate) fn any_line(&self, file: &str, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.0.get(file)?.line(index)
    }

    /// All files with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(file, text)| (file, &text.text))
    }
}
