//! YAML text to a small tree with positions, for `keel.yaml`: no anchors, no tags, no merging.

use granit_parser::{Event, Parser, ScanError};
use keel_spec::Code;

/// Deeper than any key of ours; keeps a hostile file from using up the stack.
const DEPTH: usize = 16;

/// One item of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub node: Node,
    pub line: usize,
    pub column: usize,
}

impl Item {
    /// Nothing was written: `key:` or `key: ~`.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.node, Node::Scalar(text) if text.is_empty() || text == "~")
    }
}

/// What an item is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Scalar(String),
    List(Vec<Item>),
    Map(Vec<(Key, Item)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub text: String,
    pub line: usize,
    pub column: usize,
}

/// What is wrong, and where. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub message: String,
    pub hint: Option<String>,
    pub line: usize,
    pub column: usize,
    pub len: usize,
}

impl Trouble {
    pub fn at(item: &Item, message: impl Into<String>) -> Self {
        let len = match &item.node {
            Node::Scalar(text) => text.chars().count().max(1),
            _ => 1,
        };
        let message = message.into();
        Self { message, hint: None, line: item.line, column: item.column, len }
    }

    pub fn of_key(key: &Key, message: impl Into<String>) -> Self {
        let (message, len) = (message.into(), key.text.chars().count());
        Self { message, hint: None, line: key.line, column: key.column, len }
    }

    fn scanned(error: &ScanError) -> Self {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        let message = format!("not valid YAML: {}", error.info());
        Self { message, hint: None, line, column, len: 1 }
    }

    /// The same with advice, where there is any.
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// As every problem of a Compose file reads.
    pub fn printed(&self, code: Code, text: &str, shown: &str) -> String {
        use keel_spec::{Problem, Span, Texts};
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let span =
            Span::new(shown.into(), number(self.line), number(self.column), number(self.len));
        let mut texts = Texts::default();
        texts.insert(shown.into(), text.into());
        let mut problem = Problem::new(code, &self.message).at(span);
        problem.hint.clone_from(&self.hint);
        keel_spec::problem::render(&problem, &texts)
    }
}

/// The first document; `None` where there is nothing but comments.
pub(crate) fn parse(text: &str) -> Result<Option<Item>, Trouble> {
    let mut open: Vec<(Item, Option<Key>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, mark) = event.map_err(|error| Trouble::scanned(&error))?;
        let (line, column) = (mark.start.line(), mark.start.col() + 1);
        let item = |node| Item { node, line, column };
        let done = match event {
            Event::Scalar(value, ..) => item(Node::Scalar(value.into_owned())),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEPTH => {
                return Err(Trouble::at(&item(Node::List(vec![])), "nested too deeply"));
            }
            Event::SequenceStart(..) => {
                open.push((item(Node::List(vec![])), None));
                continue;
            }
            Event::MappingStart(..) => {
                open.push((item(Node::Map(vec![])), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some((done, _)) => done,
                None => continue,
            },
            Event::Alias(..) => {
                return Err(Trouble::at(
                    &item(Node::List(vec![])),
                    "aliases are not understood here",
                ));
            }
            _ => continue,
        };
        let Some((parent, key)) = open.last_mut() else {
            return Ok((!done.is_nothing()).then_some(done));
        };
        put(parent, key, done)?;
    }
    Ok(None)
}

fn put(parent: &mut Item, key: &mut Option<Key>, item: Item) -> Result<(), Trouble> {
    match (&mut parent.node, key.take()) {
        (Node::List(items), _) => items.push(item),
        (Node::Map(entries), Some(key)) => {
            if entries.iter().any(|(other, _)| other.text == key.text) {
                return Err(Trouble::of_key(
                    &key,
                    format!("the key `{}` is there twice", key.text),
                ));
            }
            entries.push((key, item));
        }
        (Node::Map(_), None) => match item.node {
            Node::Scalar(text) => *key = Some(Key { text, line: item.line, column: item.column }),
            _ => return Err(Trouble::at(&item, "a key must be a text")),
        },
        (Node::Scalar(_), _) => {}
    }
    Ok(())
}
