//! Which stacks an event on a node is about, so that one task's change is no reason to pass over fifty
//! stacks. Pure, and in memory only: what is lost costs a pass too many, or delay.
//!
//! # Invariants
//! - A stack hears of its own tasks, and of the networks and volumes that its plan speaks of, its own or not.
//! - Of images hears who waits and has them in its plan.
//! - Of what is nobody's hears whoever waits for anything.

use crate::outcome::is_at_rest;
use keel_engine::{Assignment, Event, Nodes, StackName, TaskId};
use keel_plan::verdict::{Plan, Subject};
use std::collections::{BTreeMap, BTreeSet};

/// What the last pass of each stack has told.
#[derive(Debug, Default)]
pub(crate) struct EventRouting {
    stacks: BTreeMap<StackName, Interest>,
    /// The stack of each task: an event costs the same, however many stacks there are.
    owners: BTreeMap<TaskId, StackName>,
    /// The stacks whose plans speak of an image, network or volume.
    sharing: BTreeMap<Subject, BTreeSet<StackName>>,
    /// Those with something under way, held or failed.
    waiting: BTreeSet<StackName>,
}

#[derive(Debug, Default)]
struct Interest {
    tasks: BTreeSet<TaskId>,
    /// Images, networks and volumes.
    resources: BTreeSet<Subject>,
    /// Something is under way, held or failed.
    waits: bool,
}

impl EventRouting {
    /// Its plan is about to be sent: events of what it asks for may come before anybody looks again.
    pub fn expect(&mut self, stack: &StackName, plan: &Plan) {
        let mut concern = self.take(stack);
        concern.expect(plan);
        self.put(stack, concern);
    }

    /// What a pass saw and came to.
    pub fn learn(&mut self, stack: &StackName, seen: &Nodes, plan: &Plan, refused: bool) {
        self.forget(stack);
        let tasks = seen.tasks_of(stack).map(|(_, task)| task.id.clone()).collect();
        let mut concern = Interest { tasks, waits: refused, ..Interest::default() };
        concern.expect(plan);
        self.put(stack, concern);
    }

    /// Nothing is left of it.
    pub fn forget(&mut self, stack: &StackName) {
        self.take(stack);
    }

    /// How many stacks wait for something, of how many.
    pub fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.stacks.len())
    }

    /// Whom an event is about; `None`: it may be about any.
    pub fn of(&self, event: &Event) -> Option<BTreeSet<StackName>> {
        // What is nobody's may hold what somebody waits for: a port, a name.
        match event {
            Event::Task(task) => Some(match self.owners.get(task) {
                Some(owner) => [owner.clone()].into(),
                None => self.waiting.clone(),
            }),
            Event::Image(reference) => {
                let own = self.sharing.get(&Subject::Image(reference.clone()));
                let own = own.map(|own| own.intersection(&self.waiting).cloned().collect());
                Some(own.unwrap_or_else(|| self.waiting.clone()))
            }
            Event::Resource(name) => {
                let subjects = [Subject::Network(name.clone()), Subject::Volume(name.clone())];
                let own = subjects.iter().filter_map(|subject| self.sharing.get(subject)).flatten();
                let own: BTreeSet<_> = own.cloned().collect();
                Some(if own.is_empty() { self.waiting.clone() } else { own })
            }
            // Also what a later node may tell of.
            _ => None,
        }
    }

    /// A stack's concern, which is no longer known.
    fn take(&mut self, stack: &StackName) -> Interest {
        let concern = self.stacks.remove(stack).unwrap_or_default();
        for task in &concern.tasks {
            self.owners.remove(task);
        }
        for name in &concern.resources {
            let sharing = self.sharing.get_mut(name);
            if sharing.is_some_and(|all| all.remove(stack) && all.is_empty()) {
                self.sharing.remove(name);
            }
        }
        self.waiting.remove(stack);
        concern
    }

    fn put(&mut self, stack: &StackName, concern: Interest) {
        self.owners.extend(concern.tasks.iter().map(|task| (task.clone(), stack.clone())));
        for name in &concern.resources {
            self.sharing.entry(name.clone()).or_default().insert(stack.clone());
        }
        if concern.waits {
            self.waiting.insert(stack.clone());
        }
        self.stacks.insert(stack.clone(), concern);
    }
}

impl Interest {
    fn expect(&mut self, plan: &Plan) {
        self.tasks.extend(plan.wishes().filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some(task.id.clone()),
            _ => None,
        }));
        let subjects = plan.entries.iter().map(|entry| &entry.subject);
        self.resources = subjects.filter(|subject| is_resource(subject)).cloned().collect();
        self.waits |= !is_at_rest(plan);
    }
}

fn is_resource(subject: &Subject) -> bool {
    matches!(subject, Subject::Image(_) | Subject::Network(_) | Subject::Volume(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(name: &str) -> StackName {
        StackName::new(name).unwrap()
    }

    fn id(digit: char) -> TaskId {
        TaskId::new(digit.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn an_event_is_heard_by_its_own_and_by_those_who_wait() {
        let concern = |digit, network: &str, waits| Interest {
            tasks: [id(digit)].into(),
            resources: [
                Subject::Network(network.to_owned()),
                Subject::Network("shared".to_owned()),
                Subject::Image("caddy:2".to_owned()),
            ]
            .into(),
            waits,
        };
        let mut concerns = EventRouting::default();
        concerns.put(&stack("gone"), concern('c', "rests_default", true));
        concerns.put(&stack("rests"), concern('a', "rests_default", false));
        concerns.put(&stack("waits"), concern('b', "waits_default", true));
        concerns.forget(&stack("gone"));
        let cases = [
            (Event::Task(id('a')), Some("rests")),
            (Event::Task(id('b')), Some("waits")),
            (Event::Task(id('c')), Some("waits")),
            (Event::Image("nginx:1".into()), Some("waits")),
            (Event::Image("caddy:2".into()), Some("waits")),
            (Event::Resource("rests_default".into()), Some("rests")),
            (Event::Resource("waits_default".into()), Some("waits")),
            (Event::Resource("shared".into()), Some("rests waits")),
            (Event::Resource("lan".into()), Some("waits")),
            (Event::Missed, None),
        ];
        for (event, expected) in cases {
            let heard = concerns
                .of(&event)
                .map(|stacks| stacks.iter().map(StackName::as_str).collect::<Vec<_>>().join(" "));
            assert_eq!(heard.as_deref(), expected, "{event:?}");
        }
        assert_eq!(concerns.waiting(), (1, 2));
    }
}
