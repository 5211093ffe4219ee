//! The project's variables: those of whoever loads it, then `.env`. They feed interpolation and
//! names without a value; they never reach a container by themselves.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::interpolate::{self, Variables};
use crate::item::{Entry, Item, Node, Scalar};
use crate::problem::{Problem, Problems};
use crate::span::{Link, Span, Via};

/// A variable, and where it was set if that was in a file.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) value: String,
    pub(crate) at: Option<Span>,
}

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, Variable>,
}

impl Variables for Environment {
    fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|variable| variable.value.as_str())
    }
}

impl Environment {
    pub(crate) fn new(outer: &BTreeMap<String, String>) -> Self {
        let variable = |value: &String| Variable { value: value.clone(), at: None };
        let variables = outer.iter().map(|(name, value)| (name.clone(), variable(value))).collect();
        Self { variables }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    pub(crate) fn set(&mut self, name: &str, variable: Variable) {
        self.variables.insert(name.to_owned(), variable);
    }

    /// The same variables, with these where there is none of the name yet.
    pub(crate) fn with_defaults(mut self, more: BTreeMap<String, Variable>) -> Self {
        for (name, variable) in more {
            self.variables.entry(name).or_insert(variable);
        }
        self
    }
}

/// Puts variables into a whole tree.
pub(crate) struct Interpolation<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) problems: &'a Problems,
    /// The service that is being filled.
    pub(crate) service: Option<&'a str>,
    /// Variables that a warning has named already.
    pub(crate) warned: &'a RefCell<BTreeSet<String>>,
    /// Where values stand that cannot be filled.
    pub(crate) unfilled: &'a RefCell<Vec<Span>>,
}

impl Interpolation<'_> {
    /// Fills every value of a Compose file; keys stay.
    pub(crate) fn file(&self, root: &mut Item) {
        for entry in root.entries_mut().into_iter().flatten() {
            match entry.value.entries_mut() {
                Some(services) if entry.key == "services" => {
                    for Entry { key, value, .. } in services {
                        Interpolation { service: Some(key), ..*self }.tree(value);
                    }
                }
                _ => self.tree(&mut entry.value),
            }
        }
    }

    fn add(&self, problem: Problem) {
        self.problems.add(Problem { service: self.service.map(str::to_owned), ..problem });
    }

    /// Fills every value below `item`.
    fn tree(&self, item: &mut Item) {
        let filled = match &mut item.node {
            Node::List(items) => return items.iter_mut().for_each(|item| self.tree(item)),
            Node::Map(entries) => {
                return entries.iter_mut().for_each(|entry| self.tree(&mut entry.value));
            }
            Node::Scalar(scalar) if scalar.text.contains('$') => {
                interpolate::fill(&scalar.text, self.environment)
            }
            Node::Scalar(_) => return,
        };
        match filled {
            Ok(filled) => self.put(item, filled),
            Err(fault) => {
                self.unfilled.borrow_mut().push(item.span.clone());
                let mut problem =
                    Problem::new(fault.code, fault.message).at(item.slice(fault.range));
                problem.hint = fault.hint;
                self.add(problem);
            }
        }
    }

    fn put(&self, item: &mut Item, filled: interpolate::Filled) {
        for (name, range) in filled.unset {
            if self.warned.borrow_mut().insert(name.clone()) {
                let message = format!("the variable `{name}` is not set; it counts as empty");
                let problem = Problem::new(Code::UnsetVariable, message).at(item.slice(range));
                self.add(problem.hint(format!("set it in `.env`, or write `${{{name}:-}}`")));
            }
        }
        for name in filled.used {
            if let Some(at) = self.environment.get(&name).and_then(|variable| variable.at.clone()) {
                item.span.via.push(Link { how: Via::Variable(name), at });
            }
        }
        item.node = Node::Scalar(Scalar::quoted(filled.text));
    }
}
