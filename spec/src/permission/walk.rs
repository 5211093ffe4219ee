//! Walks a merged tree beside the table, and says what is not permitted at its line.

use super::judgements::{Ground, Wants, is_given};
use super::table::{Right, right};
use super::{Permission, Permits};
use crate::item::{Entry, Item, Node};
use crate::keys::Place;
use crate::problem::Problems;
use crate::span::Span;

/// Adds a problem for all in a stack's tree that is not permitted.
pub(crate) fn judge(model: &Item, stack: &str, permits: &Permits, problems: &Problems) {
    let walk = Walk { ground: Ground { permits, stack }, problems };
    let top = Way { path: String::new(), shown: String::new(), service: None };
    walk.below(model, Place::root(), &top);
}

struct Walk<'a> {
    ground: Ground<'a>,
    problems: &'a Problems,
}

/// Where the walk is.
struct Way {
    /// As the table has it: `services.*.cap_add`.
    path: String,
    /// As people call it: `cap_add`, of its service; `volumes.data.driver`.
    shown: String,
    service: Option<String>,
}

impl Way {
    fn to(&self, word: &str, key: &str) -> Self {
        let join = |path: &str, step: &str| match path {
            "" => step.to_owned(),
            path => format!("{path}.{step}"),
        };
        let path = join(&self.path, word);
        if self.path == "services" {
            return Self { path, shown: String::new(), service: Some(key.to_owned()) };
        }
        Self { path, shown: join(&self.shown, key), service: self.service.clone() }
    }

    fn subject(&self) -> String {
        match &self.service {
            Some(service) => format!("`{}` of service `{service}`", self.shown),
            None => format!("`{}`", self.shown),
        }
    }
}

impl Walk<'_> {
    fn below(&self, item: &Item, place: &Place, way: &Way) {
        match &item.node {
            Node::Scalar(_) => {}
            Node::List(items) => {
                let Some(place) = place.item() else { return };
                let (path, shown) = (format!("{}[]", way.path), way.shown.clone());
                let way = Way { path, shown, service: way.service.clone() };
                items.iter().for_each(|item| self.below(item, place, &way));
            }
            Node::Map(entries) => {
                entries.iter().for_each(|entry| self.entry(entry, place, way));
            }
        }
    }

    fn entry(&self, entry: &Entry, place: &Place, way: &Way) {
        let Some((word, place)) = place.step(&entry.key) else { return };
        let (way, mut wants) = (way.to(word, &entry.key), Wants::new());
        match right(&way.path) {
            Right::Needs(permission) if is_given(&entry.value) => {
                wants.push((entry.place().clone(), permission));
            }
            Right::Judged(judge) => judge(entry, &self.ground, &mut wants),
            Right::Needs(_) | Right::Harmless => {}
        }
        wants.into_iter().for_each(|(at, permission)| self.refuse(&way, at, permission));
        self.below(&entry.value, place, &way);
    }

    fn refuse(&self, way: &Way, at: Span, permission: Permission) {
        let permits = self.ground.permits;
        if permits.words.contains(&permission) {
            return;
        }
        let problem = permits.refusal(&way.subject(), permission).at(at);
        self.problems.add(match &way.service {
            Some(service) => problem.of(service),
            None => problem,
        });
    }
}
