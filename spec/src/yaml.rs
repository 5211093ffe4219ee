//! YAML text to items: positions, anchors, merge keys, and the limits that keep a hostile file
//! from costing more than its size.

mod cause;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span as Mark};

use crate::code::Code;
use crate::item::{Entry, Item, MAX_DEPTH, Node, Scalar, Tag, Type};
use crate::problem::Problem;
use crate::span::{Link, Span, Via};

/// How much aliases may add to a file, in items (a long text counts as several).
const ALIAS_BUDGET: usize = 100_000;

/// One step of building; its problem ends the file.
type Built<T = ()> = Result<T, Box<Problem>>;

/// The documents of a file, those that are empty left out, and what is wrong with them.
pub(crate) fn parse(text: &str, file: &Arc<str>, base: &Arc<Path>) -> (Vec<Item>, Vec<Problem>) {
    let mut builder = Builder::new(text, file, base);
    if let Some(problem) = control_character(text, file) {
        return (Vec::new(), vec![problem]);
    }
    for event in Parser::new_from_str_with_options(text, options()) {
        let step = match event {
            Ok((Event::UnresolvedAlias(name), mark)) => {
                Err(Box::new(builder.unknown_anchor(&name, &mark, text)))
            }
            Ok((event, mark)) => builder.take(event, &mark),
            Err(error) => Err(Box::new(builder.scan_problem(&error, text))),
        };
        if let Err(problem) = step {
            builder.problems.push(*problem);
            return (Vec::new(), builder.problems);
        }
    }
    (builder.documents, builder.problems)
}

/// The first document of a text that is no Compose file (`keel.yaml`), shown to people under this name, or
/// what is wrong with it; nothing where there are only comments.
pub fn document(text: &str, shown: &str) -> Result<Option<Item>, Vec<Problem>> {
    let (mut documents, problems) = parse(text, &shown.into(), &Path::new("").into());
    match problems.is_empty() {
        true => Ok((!documents.is_empty()).then(|| documents.swap_remove(0))),
        false => Err(problems),
    }
}

fn options() -> Options {
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        emit_unresolved_aliases: true,
    };
    options.set_emit_comments(false);
    options
}

fn control_character(text: &str, file: &Arc<str>) -> Option<Problem> {
    let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let (index, c) = text.char_indices().find(|(_, c)| bad(*c))?;
    let before = &text[..index];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = format!("the character U+{:04X} is not allowed in YAML", u32::from(c));
    Some(Problem::new(Code::Yaml, message).at(span_at(file, line, column, 1)))
}

fn span_at(file: &Arc<str>, line: usize, column: usize, len: usize) -> Span {
    let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span::new(file.clone(), short(line), short(column), short(len))
}

/// A collection that is being read.
struct Open {
    span: Span,
    tag: Tag,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Item>),
    Map { entries: Vec<Entry>, merges: Vec<(Span, Item)>, key: Option<(String, Span, bool)> },
}

/// An anchored item, with what a copy of it costs.
struct Anchored {
    item: Item,
    weight: usize,
    depth: usize,
}

struct Builder<'a> {
    file: &'a Arc<str>,
    base: &'a Arc<Path>,
    line_lens: Vec<u32>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    spent: usize,
    documents: Vec<Item>,
    problems: Vec<Problem>,
}

impl<'a> Builder<'a> {
    fn new(text: &str, file: &'a Arc<str>, base: &'a Arc<Path>) -> Self {
        let line_lens = text.lines().map(|line| line.trim_end().chars().count() as u32).collect();
        let (open, documents, problems) = (Vec::new(), Vec::new(), Vec::new());
        Self { file, base, line_lens, open, anchors: HashMap::new(), spent: 0, documents, problems }
    }

    fn unknown_anchor(&self, name: &str, mark: &Mark, text: &str) -> Problem {
        let at = self.span(mark);
        let message = format!("there is no anchor `&{name}` above this alias");
        let hint = cause::anchor(name, text, at.line as usize);
        let problem = Problem::new(Code::UnknownAnchor, message).at(at);
        Problem { hint, ..problem }
    }

    fn scan_problem(&self, error: &ScanError, text: &str) -> Problem {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        let problem = Problem::new(Code::Yaml, format!("not valid YAML: {}", error.info()));
        let problem = problem.at(span_at(self.file, line, column, 1));
        if error.info().contains("unclosed quote") {
            return problem.label("it begins here").hint("close it at the end of its text");
        }
        if error.info().contains("unclosed bracket") {
            return problem.label("it begins here").hint("close it at its end");
        }
        let bracket = self.open_bracket();
        let unclosed = bracket.and_then(|(at, bracket)| cause::unclosed(text, at, bracket, line));
        let cause = match (unclosed, bracket) {
            (Some(cause), _) => Some(cause),
            (None, Some((at, bracket))) if error.info().contains("expected ','") => {
                let hint =
                    format!("is a `,` missing, or is the `{bracket}` in line {} open?", at.0);
                return problem.hint(hint);
            }
            _ => cause::guess(&error.info(), text, line),
        };
        let Some(cause) = cause else { return problem };
        let message = format!("not valid YAML: {}", cause.message);
        let at = span_at(self.file, cause.line, cause.column, cause.len);
        Problem::new(Code::Yaml, message).at(at).hint(cause.hint)
    }

    /// The innermost bracket or brace that is open: its line and column, and itself.
    fn open_bracket(&self) -> Option<((usize, usize), char)> {
        let open = self.open.last().filter(|open| open.span.len > 0)?;
        let bracket = if matches!(open.content, Content::List(_)) { '[' } else { '{' };
        Some(((open.span.line as usize, open.span.column as usize), bracket))
    }

    fn take(&mut self, event: Event<'_>, mark: &Mark) -> Built {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let scalar = self.scalar(text.into_owned(), style, mark, tag);
                let tag = self.tag(tag, mark);
                let item = self.item(Node::Scalar(scalar), self.span(mark), tag);
                self.place(item, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Content::List(Vec::new()), anchor, tag.as_deref(), mark)
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Map { entries: vec![], merges: vec![], key: None };
                self.begin(content, anchor, tag.as_deref(), mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(mark),
            Event::Alias(anchor) => self.alias(anchor, mark),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn item(&self, node: Node, span: Span, tag: Tag) -> Item {
        Item { node, span, tag, base: self.base.clone() }
    }

    /// The part of the mark that is on its first line.
    fn span(&self, mark: &Mark) -> Span {
        let (line, column) = (mark.start.line(), mark.start.col() + 1);
        let on_line =
            |line: usize| self.line_lens.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let len = if mark.start.line() == mark.end.line() {
            mark.end.index().saturating_sub(mark.start.index())
        } else {
            (on_line(line) as usize + 1).saturating_sub(column)
        };
        span_at(self.file, line, column, len)
    }

    fn scalar(
        &self,
        text: String,
        style: ScalarStyle,
        mark: &Mark,
        tag: Option<&granit_parser::Tag>,
    ) -> Scalar {
        let source = mark.end.index().saturating_sub(mark.start.index());
        let same_line = mark.start.line() == mark.end.line();
        let (plain, quotes) = match style {
            ScalarStyle::Plain => (true, Some(0)),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (false, Some(1)),
            _ => (false, None),
        };
        let length = text.chars().count();
        let parallel = |quotes: &usize| same_line && source == length + 2 * quotes;
        let lead = quotes.filter(parallel).map(|quotes| quotes as u32);
        let plain = plain && tag.and_then(granit_parser::Tag::core_suffix) != Some("str");
        Scalar { text, plain, lead }
    }

    fn tag(&mut self, tag: Option<&granit_parser::Tag>, mark: &Mark) -> Tag {
        let Some(tag) = tag.filter(|tag| tag.core_suffix().is_none()) else { return Tag::None };
        match tag.original().as_str() {
            "!reset" => Tag::Reset,
            "!override" => Tag::Override,
            // The non-specific tag says nothing.
            "!" => Tag::None,
            other => {
                let problem =
                    Problem::new(Code::UnknownTag, format!("the tag `{other}` means nothing here"));
                let at = mark.tag_start.map_or_else(
                    || self.span(mark),
                    |at| span_at(self.file, at.line(), at.col() + 1, other.chars().count()),
                );
                self.problems.push(problem.at(at));
                Tag::None
            }
        }
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&granit_parser::Tag>,
        mark: &Mark,
    ) -> Built {
        let span = self.span(mark);
        self.within_depth(self.open.len() + 1, &span)?;
        if let Some(Open { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(Box::new(key_is_no_text(span)));
        }
        let tag = self.tag(tag, mark);
        self.open.push(Open { span, tag, anchor, content });
        Ok(())
    }

    fn within_depth(&self, depth: usize, span: &Span) -> Built {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        let message = format!("nested more than {MAX_DEPTH} deep");
        Err(Box::new(Problem::new(Code::TooDeep, message).at(span.clone())))
    }

    fn end(&mut self, mark: &Mark) -> Built {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let mut span = open.span;
        let node = match open.content {
            Content::List(items) => Node::List(items),
            Content::Map { mut entries, merges, .. } => {
                self.merge_in(&mut entries, merges);
                Node::Map(entries)
            }
        };
        let first_key = match &node {
            Node::Map(entries) => entries.first().map(|entry| &entry.at),
            _ => None,
        };
        span.len = match first_key {
            // In braces or brackets: all of it, as far as it is on one line.
            _ if span.len > 0 && mark.end.line() == span.line as usize => {
                (mark.end.col() as u32 + 1).saturating_sub(span.column).max(1)
            }
            Some(key) if (key.line, key.column) == (span.line, span.column) => key.len,
            _ => 1,
        };
        let item = self.item(node, span, open.tag);
        self.place(item, open.anchor)
    }

    /// Puts a complete item where it belongs: as a key, a value, a list item or a document.
    fn place(&mut self, item: Item, anchor: usize) -> Built {
        if anchor != 0 {
            let (weight, depth) = measure(&item);
            self.anchors.insert(anchor, Anchored { item: item.clone(), weight, depth });
            self.spend(weight, &item.span)?;
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                if !item.is_null() {
                    self.documents.push(item);
                }
                Ok(())
            }
            Some(Content::List(items)) => {
                items.push(item);
                Ok(())
            }
            Some(Content::Map { entries, merges, key }) => match key.take() {
                None => {
                    *key = Some(self::key(item)?);
                    Ok(())
                }
                Some((_, at, true)) => {
                    merges.push((at, item));
                    Ok(())
                }
                Some((key, at, false)) => {
                    entries.push(Entry { key, at, value: item });
                    Ok(())
                }
            },
        }
    }

    fn alias(&mut self, anchor: usize, mark: &Mark) -> Built {
        let at = self.span(mark);
        let Some(anchored) = self.anchors.get(&anchor) else {
            let problem = Problem::new(Code::AliasCycle, "the anchored item contains itself");
            return Err(Box::new(problem.at(at)));
        };
        let (weight, depth, mut item) = (anchored.weight, anchored.depth, anchored.item.clone());
        self.within_depth(self.open.len() + depth, &at)?;
        self.spend(weight, &at)?;
        item.span.via.push(Link { how: Via::Alias, at });
        self.place(item, 0)
    }

    fn spend(&mut self, weight: usize, at: &Span) -> Built {
        self.spent += weight;
        if self.spent <= ALIAS_BUDGET {
            return Ok(());
        }
        let problem = Problem::new(Code::AliasBomb, "aliases make this file too large");
        Err(Box::new(problem.at(at.clone()).hint("write out what is needed, or split the file")))
    }

    /// Checks that keys are unique, then adds what merge keys bring and the map does not have.
    fn merge_in(&mut self, entries: &mut Vec<Entry>, merges: Vec<(Span, Item)>) {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut kept: Vec<Entry> = Vec::new();
        for entry in std::mem::take(entries) {
            match places.get(&entry.key).and_then(|index| kept.get_mut(*index)) {
                None => {
                    places.insert(entry.key.clone(), kept.len());
                    kept.push(entry);
                }
                Some(first) => {
                    self.problems.push(set_twice(first, &entry));
                    // An empty one says nothing more than that it was set twice.
                    if first.value.is_null() {
                        first.value = entry.value;
                    }
                }
            }
        }
        *entries = kept;
        let mut keys: HashSet<String> = places.into_keys().collect();
        for (at, item) in merges {
            let maps = if let Node::List(items) = item.node { items } else { vec![item] };
            for map in maps {
                self.merge_map(entries, &mut keys, &at, map);
            }
        }
    }

    fn merge_map(
        &mut self,
        entries: &mut Vec<Entry>,
        keys: &mut HashSet<String>,
        at: &Span,
        map: Item,
    ) {
        let Node::Map(more) = map.node else {
            let message = format!("`<<` merges mappings, and this is {}", map.what());
            self.problems.push(Problem::new(Code::MergeKey, message).at(map.span));
            return;
        };
        for mut entry in more {
            if keys.insert(entry.key.clone()) {
                let link = Link { how: Via::Alias, at: at.clone() };
                entry.value.span.via.push(link);
                entries.push(entry);
            }
        }
    }
}

fn set_twice(first: &Entry, again: &Entry) -> Problem {
    let line = first.at.line;
    let message = format!("the key `{}` is already set in line {line}", again.key);
    let problem = Problem::new(Code::DuplicateKey, message).at(again.at.clone());
    problem.hint(format!("remove this one, or the one in line {line}"))
}

/// `{{ name }}` is a mapping whose key is a mapping.
fn key_is_no_text(span: Span) -> Problem {
    let problem = Problem::new(Code::Yaml, "a key must be plain text").at(span);
    problem.hint("put a value that begins with `{` or `[` in quotes")
}

/// The key's text and place, and whether it is a merge key.
fn key(item: Item) -> Built<(String, Span, bool)> {
    let Node::Scalar(scalar) = item.node else {
        return Err(Box::new(key_is_no_text(item.span)));
    };
    if scalar.ty() != Type::Text {
        let message = format!("the key `{}` is not text", scalar.text);
        let problem = Problem::new(Code::NonStringKey, message).at(item.span);
        return Err(Box::new(problem.hint(format!("put it in quotes: \"{}\"", scalar.text))));
    }
    let merge = scalar.plain && scalar.text == "<<";
    Ok((scalar.text, item.span, merge))
}

/// What a copy of the item costs, and how deep it goes.
fn measure(item: &Item) -> (usize, usize) {
    let sum = |(weight, depth), item: &Item| {
        let (more, deep) = measure(item);
        (weight + more, usize::max(depth, deep + 1))
    };
    match &item.node {
        Node::Scalar(scalar) => (1 + scalar.text.len() / 64, 0),
        Node::List(items) => items.iter().fold((1, 1), sum),
        Node::Map(entries) => {
            let text: usize = entries.iter().map(|entry| entry.key.len() / 64).sum();
            entries.iter().map(|entry| &entry.value).fold((1 + text, 1), sum)
        }
    }
}
