//! From a project's files to one merged tree, in Compose's order: each file is interpolated,
//! then its includes, its resets and its `extends` are worked in, then it is merged over those
//! before it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::canonical::canonical;
use crate::code::Code;
use crate::environment::{Environment, Interpolation};
use crate::item::{Item, Node};
use crate::merge;
use crate::problem::Problem;
use crate::source::{Source, Sources};
use crate::span::Span;
use crate::yaml;

/// Builds the merged tree of one project.
pub(crate) struct Composer<'a> {
    pub(crate) sources: &'a Sources<'a>,
    /// What has been said already, and is not said again: unset variables, circles.
    pub(crate) warned: RefCell<BTreeSet<String>>,
    /// Files that services extend from, by path.
    pub(crate) bases: RefCell<HashMap<PathBuf, Rc<Item>>>,
    /// How many files were included.
    pub(crate) included: Cell<usize>,
}

/// A file's documents, as they were written.
pub(crate) struct Parsed {
    pub(crate) path: PathBuf,
    pub(crate) documents: Vec<Item>,
    /// It is no YAML; nothing but its name is known.
    pub(crate) broken: bool,
}

/// What a broken file still says about its stack: the line with its name.
fn named(source: &Source, base: &Arc<Path>) -> Vec<Item> {
    let line = source.text.lines().find(|line| line.starts_with("name:"));
    line.map(|line| yaml::parse(line, &source.file, base).0).unwrap_or_default()
}

/// What a tree is built under.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: &'a Environment,
    /// The folder that relative paths start from.
    pub(crate) base: &'a Arc<Path>,
    /// The files whose includes led here, the outermost first.
    pub(crate) including: &'a [PathBuf],
}

impl<'a> Composer<'a> {
    pub(crate) fn new(sources: &'a Sources<'a>) -> Self {
        let (warned, bases, included) = Default::default();
        Self { sources, warned, bases, included }
    }

    /// Reads a file. Nothing is decided about what is in it.
    pub(crate) fn parse(
        &self,
        path: &Path,
        base: &Arc<Path>,
        asked: Option<&Span>,
    ) -> Option<Parsed> {
        let source = self.sources.read(path, asked)?;
        let (mut documents, problems) = yaml::parse(&source.text, &source.file, base);
        let broken = documents.is_empty() && problems.iter().any(Problem::is_error);
        self.sources.problems.extend(problems);
        if broken {
            documents = named(&source, base);
        }
        Some(Parsed { path: path.to_owned(), documents, broken })
    }

    /// One tree from files in their order.
    pub(crate) fn model(&self, files: Vec<Parsed>, around: Surroundings<'_>) -> Option<Item> {
        let mut model: Option<Item> = None;
        for Parsed { path, documents, .. } in files {
            for document in documents {
                let Some(document) = self.document(document, &path, around) else { continue };
                model = Some(match model {
                    Some(model) => self.merge(model, document, &mut Vec::new()),
                    None => document,
                });
            }
        }
        model
    }

    fn document(&self, mut document: Item, path: &Path, around: Surroundings<'_>) -> Option<Item> {
        if !self.prepare(&mut document, around.environment) {
            return None;
        }
        let mut document = self.include(document, path, around);
        self.extend(&mut document, path, around.environment);
        Some(document)
    }

    /// Interpolates a document and brings it to its canonical form; false if it cannot be used.
    pub(crate) fn prepare(&self, document: &mut Item, environment: &Environment) -> bool {
        let problems = &self.sources.problems;
        if !matches!(document.node, Node::Map(_)) {
            let message = format!("a Compose file is a mapping, and this is {}", document.what());
            problems.add(Problem::new(Code::WrongType, message).at(document.span.clone()));
            return false;
        }
        let (warned, unfilled) = (&self.sources.unset, &self.sources.unfilled);
        Interpolation { environment, problems, service: None, warned, unfilled }.file(document);
        canonical(document, problems);
        true
    }

    pub(crate) fn merge(&self, base: Item, over: Item, path: &mut Vec<String>) -> Item {
        merge::merge(base, over, path, &self.sources.problems)
    }
}
