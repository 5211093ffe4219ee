//! What is rendered: a tree of values, each with where it was written.

use std::sync::Arc;

use crate::span::Span;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub node: Node,
    /// Where it was written; absent for what comes by default. What one text means is many values
    /// with one place.
    pub at: Option<Arc<Span>>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text; a `$` in it is doubled already.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A mapping, sorted where order means nothing.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// A text that means itself when it is loaded again.
pub(super) fn text(text: &str, at: Option<&Span>) -> Value {
    Value { node: Node::Text(text.replace('$', "$$")), at: at.map(|at| at.clone().into()) }
}

/// A mapping with its keys sorted.
pub(super) fn map(mut entries: Vec<Entry>, at: Option<&Span>) -> Value {
    entries.sort_by(|one, two| one.key.cmp(&two.key));
    Value { node: Node::Map(entries), at: at.map(|at| at.clone().into()) }
}

pub(super) fn entry(key: &str, value: Value) -> Entry {
    Entry { key: key.to_owned(), value }
}

pub(super) fn boolean(value: bool, at: Option<&Span>) -> Value {
    Value { node: Node::Bool(value), at: at.map(|at| at.clone().into()) }
}

pub(super) fn number(value: impl ToString, at: Option<&Span>) -> Value {
    Value { node: Node::Number(value.to_string()), at: at.map(|at| at.clone().into()) }
}

pub(super) fn null(at: Option<&Span>) -> Value {
    Value { node: Node::Null, at: at.map(|at| at.clone().into()) }
}

pub(super) fn list(values: Vec<Value>, at: Option<&Span>) -> Value {
    Value { node: Node::List(values), at: at.map(|at| at.clone().into()) }
}

impl Value {
    /// The entries of a mapping.
    pub fn entries(&self) -> &[Entry] {
        match &self.node {
            Node::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Calls `seen` with every value that has none below it, and its path.
    pub(super) fn each_leaf(&self, path: &mut String, seen: &mut impl FnMut(&str, &Self)) {
        let length = path.len();
        match &self.node {
            Node::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    item.each_leaf(path, seen);
                    path.truncate(length);
                }
            }
            Node::Map(entries) if !entries.is_empty() => {
                for entry in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(&entry.key);
                    entry.value.each_leaf(path, seen);
                    path.truncate(length);
                }
            }
            _ => seen(path, self),
        }
    }
}
