//! From items to typed values: one [`Field`] for each key, which knows its path and place and
//! says what is wrong with it. A reader returns `None` when it has said so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::advice;
use crate::code::Code;
use crate::held::Held;
use crate::host_path::HostPath;
use crate::item::{Entry, Item, Node, Scalar, Type};
use crate::problem::{Problem, Problems};
use crate::scalar;
use crate::span::{Origins, Span};
use crate::words;

/// One thing that has fields, a service or a network, while it is decoded.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// What people call it: ``service `web` ``.
    pub(crate) subject: String,
    /// Its name, if it is a service.
    service: Option<String>,
    problems: &'a Problems,
    origins: RefCell<Origins>,
    held: RefCell<Vec<Held>>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(subject: impl Into<String>, problems: &'a Problems) -> Self {
        let (service, origins, held) = Default::default();
        Self { subject: subject.into(), service, problems, origins, held }
    }

    pub(crate) fn service(name: &str, problems: &'a Problems) -> Self {
        let subject = format!("service `{name}`");
        Self { service: Some(name.to_owned()), ..Self::new(subject, problems) }
    }

    /// Files a problem as one of this thing.
    pub(crate) fn add(&self, problem: Problem) {
        self.problems.add(Problem { service: self.service.clone(), ..problem });
    }

    /// Whether more problems would not be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.is_full()
    }

    pub(crate) fn origin(&self, path: impl Into<String>, span: &Span) {
        self.origins.borrow_mut().insert(path, span.clone());
    }

    /// Records that `path` is legal and not run, and warns of it.
    pub(crate) fn hold(&self, path: &str, span: &Span, why: &str) {
        let message = format!("`{path}` of {} is not run yet: {why}", self.subject);
        self.add(Problem::new(Code::NotRunYet, message).at(span.clone()));
        let held = Held { path: path.to_owned(), span: span.clone(), why: why.to_owned() };
        self.held.borrow_mut().push(held);
    }

    pub(crate) fn finish(self) -> (Origins, Vec<Held>) {
        (self.origins.into_inner(), self.held.into_inner())
    }
}

/// Keys of a service whose mapping may be written as a list.
const LIST_FORMS: [&str; 6] =
    ["environment", "labels", "annotations", "sysctls", "depends_on", "networks"];

/// One value in its scope.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) item: &'a Item,
    pub(crate) key: &'a Span,
    /// The path in the scope, as Compose writes it; empty for the scope's own item.
    pub(crate) path: String,
    /// Reading it does not say where it was written: its path is not one of the model.
    unmarked: bool,
}

impl<'a> Field<'a> {
    pub(crate) fn root(scope: &'a Scope<'a>, item: &'a Item, key: &'a Span) -> Self {
        Self { scope, item, key, path: String::new(), unmarked: false }
    }

    /// The value of a key that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.raw(key).filter(|field| !field.item.is_null())
    }

    /// The value of a key that is there, and not null or an empty text: that is what a variable
    /// leaves that is not set.
    pub(crate) fn given(&self, key: &str) -> Option<Self> {
        self.get(key).filter(|field| field.item.text() != Some(""))
    }

    /// The value of a key that is there, though it may be null.
    pub(crate) fn raw(&self, key: &str) -> Option<Self> {
        self.item.entry(key).map(|entry| self.child(entry))
    }

    /// The value of an entry of its map.
    pub(crate) fn child(&self, entry: &'a Entry) -> Self {
        self.below(&entry.value, &entry.at, self.join(&entry.key))
    }

    fn below(&self, item: &'a Item, key: &'a Span, path: String) -> Self {
        Self { scope: self.scope, item, key, path, unmarked: self.unmarked }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where people look for it.
    pub(crate) fn place(&self) -> &'a Span {
        match &self.item.node {
            Node::Scalar(_) if self.item.span.len > 0 => &self.item.span,
            _ => self.key,
        }
    }

    /// Says where the value was written.
    pub(crate) fn mark(&self) {
        if !self.unmarked {
            self.scope.origin(self.path.clone(), self.place());
        }
    }

    /// The same value, read without marking it or what is below it.
    pub(crate) fn unmarked(self) -> Self {
        Self { unmarked: true, ..self }
    }

    /// An error about it.
    pub(crate) fn refuse(&self, code: Code, message: impl Into<String>) {
        self.scope.add(Problem::new(code, message).at(self.place().clone()));
    }

    pub(crate) fn hold(&self, why: &str) {
        self.scope.hold(&self.path, self.place(), why);
    }

    /// What it is called in a message: `` `ports[0]` of service `web` ``.
    pub(crate) fn name(&self) -> String {
        if self.path.is_empty() {
            return self.scope.subject.clone();
        }
        format!("`{}` of {}", self.path, self.scope.subject)
    }

    /// The error that it has another type.
    pub(crate) fn wrong<T>(&self, wanted: &str) -> Option<T> {
        let message = format!("{} must be {wanted}, and is {}", self.name(), self.item.what());
        let mut problem = Problem::new(Code::WrongType, message).at(self.place().clone());
        problem.hint = advice::of_shape(wanted, self.item);
        self.scope.add(problem);
        None
    }

    /// The error that a mapping lacks a key, or that it is no mapping.
    pub(crate) fn lacks<T>(&self, key: &str, wanted: &str) -> Option<T> {
        if !matches!(self.item.node, Node::Map(_)) {
            return self.wrong(wanted);
        }
        if advice::misspelt(self.item, key) || advice::split_text(self.item).is_some() {
            return None;
        }
        self.refuse(Code::MissingKey, format!("{} has no `{key}`", self.name()));
        None
    }

    /// The error that its text means nothing.
    pub(crate) fn bad<T>(&self, wanted: &str) -> Option<T> {
        let text = match self.item.text().unwrap_or_default() {
            "" => "empty".to_owned(),
            text => format!("`{}`", shorten(text)),
        };
        self.refuse(Code::BadValue, format!("{} must be {wanted}, and is {text}", self.name()));
        None
    }

    /// Text, which must have been written as text.
    pub(crate) fn text(&self) -> Option<String> {
        match self.item.as_scalar() {
            Some(scalar) if scalar.ty() == Type::Text => {
                self.mark();
                Some(scalar.text.clone())
            }
            _ => self.wrong("text"),
        }
    }

    /// Text, where a number is understood as well: `user: 1000`.
    pub(crate) fn lenient_text(&self) -> Option<String> {
        let number = |scalar: &&Scalar| matches!(scalar.ty(), Type::Int | Type::Float);
        let Some(scalar) = self.item.as_scalar().filter(number) else { return self.text() };
        let message = format!("{} is a number, and is read as text", self.name());
        let problem = Problem::new(Code::NumberAsText, message).at(self.place().clone());
        self.scope.add(problem.hint(format!("put it in quotes: \"{}\"", scalar.text)));
        self.loose_text()
    }

    /// The text of any scalar; numbers and booleans stay as they were written.
    pub(crate) fn loose_text(&self) -> Option<String> {
        match self.item.text() {
            Some(text) => {
                self.mark();
                Some(text.to_owned())
            }
            None => self.wrong("text or a number"),
        }
    }

    /// A scalar that `read` understands.
    pub(crate) fn parsed<T>(&self, wanted: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let Some(text) = self.item.text() else { return self.wrong(wanted) };
        self.mark();
        read(text).or_else(|| self.bad(wanted))
    }

    /// One of these words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("{} must be one of {}", self.name(), words.join(", "));
        let mut problem = Problem::new(Code::BadValue, message).at(self.place().clone());
        if let Some(hint) = crate::nearest::hint(&text, choices.iter().map(|(word, _)| *word)) {
            problem = problem.hint(hint);
        }
        self.scope.add(problem);
        None
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let text = self.item.text().unwrap_or_default();
        let value = match text.to_ascii_lowercase().as_str() {
            "true" => true,
            "false" => false,
            word @ ("yes" | "on" | "y" | "no" | "off" | "n") => {
                let value = matches!(word, "yes" | "on" | "y");
                let message = format!("{} is `{text}`, which YAML 1.2 reads as text", self.name());
                let problem = Problem::new(Code::OldBoolean, message).at(self.place().clone());
                self.scope.add(problem.hint(format!("write `{value}`")));
                value
            }
            _ if self.item.text().is_some() => return self.bad("true or false"),
            _ => return self.wrong("true or false"),
        };
        self.mark();
        Some(value)
    }

    /// A whole number within `T`.
    pub(crate) fn whole<T: std::str::FromStr>(&self) -> Option<T> {
        self.parsed("a whole number", |text| text.parse().ok())
    }

    pub(crate) fn bytes(&self) -> Option<u64> {
        self.parsed("a size such as `512m`", scalar::bytes)
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        let text = self.item.text().unwrap_or_default();
        if !text.is_empty() && text != "0" && text.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("{} must be a duration, and `{text}` has no unit", self.name());
            let problem = Problem::new(Code::BadValue, message).at(self.place().clone());
            self.scope.add(problem.hint(format!("write `{text}s` for seconds")));
            return None;
        }
        self.parsed("a duration such as `1m30s`", scalar::duration)
    }

    pub(crate) fn host_path(&self) -> Option<HostPath> {
        let written = self.text()?;
        Some(HostPath { written, base: self.item.base.to_path_buf() })
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Vec<Self> {
        let Node::List(items) = &self.item.node else {
            self.wrong::<()>("a list");
            return Vec::new();
        };
        let field = |(i, item): (usize, &'a Item)| {
            self.below(item, &item.span, format!("{}[{i}]", self.path))
        };
        items.iter().enumerate().map(field).collect()
    }

    /// The entries of a map, null values included.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Self)> {
        if !matches!(self.item.node, Node::Map(_)) {
            let list_too = LIST_FORMS.contains(&self.path.as_str());
            let odd = self.item.items().iter().enumerate().find(|(_, item)| item.text().is_none());
            if let (true, Some((index, item))) = (list_too, odd) {
                let item = self.below(item, &item.span, format!("{}[{index}]", self.path));
                item.not_a_name();
                return Vec::new();
            }
            self.wrong::<()>(if list_too { "a mapping or a list" } else { "a mapping" });
        }
        self.item.entries().iter().map(|entry| (entry.key.as_str(), self.child(entry))).collect()
    }

    /// The error that an item of a list of names is more than a name.
    fn not_a_name(&self) {
        let message = format!("{} must be a name, and is {}", self.name(), self.item.what());
        let problem = Problem::new(Code::WrongType, message).at(self.place().clone());
        self.scope.add(match self.item.entries().first() {
            Some(first) => problem.hint(format!("write `{}:` without the dash", first.key)),
            None => problem,
        });
    }

    /// A list of texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.list().iter().filter_map(Self::text).collect()
    }

    /// A list of texts or numbers.
    pub(crate) fn loose_texts(&self) -> Vec<String> {
        self.list().iter().filter_map(Self::loose_text).collect()
    }

    /// Names with texts; null is an empty text.
    pub(crate) fn pairs(&self) -> BTreeMap<String, String> {
        let pair = |(key, field): (&str, Self)| {
            let text = if field.item.is_null() {
                field.mark();
                Some(String::new())
            } else {
                field.loose_text()
            };
            Some((key.to_owned(), text?))
        };
        self.entries().into_iter().filter_map(pair).collect()
    }

    /// A command: a list of words, or one text that is split as a shell would.
    pub(crate) fn words(&self) -> Option<Vec<String>> {
        match &self.item.node {
            Node::List(_) => {
                self.mark();
                Some(self.texts())
            }
            Node::Scalar(scalar) if scalar.ty() == Type::Text => {
                self.mark();
                self.split(&scalar.text)
            }
            _ => self.wrong("text or a list of texts"),
        }
    }

    /// The words of a command line.
    fn split(&self, line: &str) -> Option<Vec<String>> {
        let split = match words::split(line) {
            Ok(split) => split,
            Err(fault) => {
                let message = format!("{} cannot be split: {}", self.name(), fault.message);
                let at = self.item.slice(fault.range);
                self.scope.add(Problem::new(Code::BadValue, message).at(at));
                return None;
            }
        };
        if let Some(cut) = split.cut {
            let operator = line[cut.clone()].split_whitespace().next().unwrap_or_default();
            let message = format!("{} ends before `{operator}`: no shell runs it", self.name());
            let problem = Problem::new(Code::NoShell, message).at(self.item.slice(cut));
            self.scope.add(problem.hint("write `[\"sh\", \"-c\", \"…\"]`"));
        }
        Some(split.words)
    }
}

/// The beginning of a long text: its place says the rest.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
