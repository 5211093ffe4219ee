//! The YAML tree: every item and every key with its span, and nothing decided about types.
//!
//! # Invariants
//! - Aliases and merge keys are expanded, and keys are unique within a map.
//! - Depth is at most [`MAX_DEPTH`], so that walking it by recursion is safe.

use std::path::Path;
use std::sync::Arc;

use crate::span::{Link, Span};

/// How deep items may lie in one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// One item of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What it is.
    pub node: Node,
    /// Where it was written.
    pub span: Span,
    pub(crate) tag: Tag,
    /// The folder that relative paths in it start from.
    pub(crate) base: Arc<Path>,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A text, number, boolean or nothing.
    Scalar(Scalar),
    /// `- `, or `[ ]`.
    List(Vec<Item>),
    /// Keys and values, in the order of the file.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub at: Span,
    /// Its value.
    pub value: Item,
}

/// A scalar's text, before anybody says what type it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// As it reads, without quotes and escapes.
    pub text: String,
    /// Written without quotes, and not the result of a substitution: it may be a number, a
    /// boolean or null.
    pub(crate) plain: bool,
    /// How many characters of the source come before the text (the quote); `None` when source
    /// and text do not run in parallel, as with escapes and block scalars.
    pub(crate) lead: Option<u32>,
}

/// Compose's own tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    None,
    Reset,
    Override,
}

/// The type that YAML's core schema gives a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    Float,
    Text,
}

impl Scalar {
    pub(crate) fn quoted(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: false, lead: None }
    }

    pub(crate) fn ty(&self) -> Type {
        if !self.plain {
            return Type::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Type::Null,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Type::Bool,
            text if is_int(text) => Type::Int,
            text if is_float(text) => Type::Float,
            _ => Type::Text,
        }
    }
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, radix) = match digits.get(..2) {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        _ => (digits, 10),
    };
    !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
}

fn is_float(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(body, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let starts = body.starts_with(|c: char| c.is_ascii_digit())
        || body
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    starts
        && body.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && body.parse::<f64>().is_ok()
}

impl Item {
    /// A scalar that stands for part of `self`, at the same place.
    pub(crate) fn scalar_here(&self, scalar: Scalar) -> Self {
        self.here(Node::Scalar(scalar))
    }

    /// Says of everything in it how it came here.
    pub(crate) fn came_by(&mut self, link: &Link) {
        self.span.came_by(link);
        match &mut self.node {
            Node::Scalar(_) => {}
            Node::List(items) => items.iter_mut().for_each(|item| item.came_by(link)),
            Node::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.at.came_by(link);
                entry.value.came_by(link);
            }),
        }
    }

    /// Another node at the same place.
    pub(crate) fn here(&self, node: Node) -> Self {
        Self { node, span: self.span.clone(), tag: self.tag, base: self.base.clone() }
    }

    /// Whether nothing was written: `key:`, `key: ~` or `key: null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.node, Node::Scalar(scalar) if scalar.ty() == Type::Null)
    }

    pub(crate) fn as_scalar(&self) -> Option<&Scalar> {
        match &self.node {
            Node::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        self.as_scalar().filter(|scalar| scalar.ty() != Type::Null).map(|s| s.text.as_str())
    }

    /// Keys and values of a map; of anything else none.
    pub fn entries(&self) -> &[Entry] {
        match &self.node {
            Node::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Item] {
        match &self.node {
            Node::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of a key of a map.
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.node {
            Node::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Item> {
        let entry = self.entries_mut()?.iter_mut().find(|entry| entry.key == key)?;
        Some(&mut entry.value)
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let entries = self.entries_mut()?;
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index))
    }

    /// What it is, for messages: `a list`, `a number`.
    pub(crate) fn what(&self) -> &'static str {
        match &self.node {
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
            Node::Scalar(scalar) => match scalar.ty() {
                Type::Null => "empty",
                Type::Bool => "a boolean",
                Type::Int | Type::Float => "a number",
                Type::Text => "text",
            },
        }
    }

    /// The span of `len` characters from character `start` of the scalar's text, as far as that
    /// can be told; else the whole.
    pub(crate) fn part(&self, start: usize, len: usize) -> Span {
        let mut span = self.span.clone();
        let lead = self.as_scalar().and_then(|scalar| scalar.lead);
        if let (Some(lead), Ok(start), Ok(len)) = (lead, u32::try_from(start), u32::try_from(len)) {
            span.column += lead + start;
            span.len = len;
        }
        span
    }

    /// As [`Item::part`], for a slice of the scalar's own text given by its byte range.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Span {
        let Some(text) = self.as_scalar().map(|scalar| scalar.text.as_str()) else {
            return self.span.clone();
        };
        let count = |part: Option<&str>| part.map_or(0, |part| part.chars().count());
        self.part(count(text.get(..range.start)), count(text.get(range)))
    }
}

impl Entry {
    /// Where people look for the entry: its value, where that is on one line, else its key.
    pub(crate) fn place(&self) -> &Span {
        match &self.value.node {
            Node::Scalar(_) if self.value.span.len > 0 => &self.value.span,
            _ => &self.at,
        }
    }
}
