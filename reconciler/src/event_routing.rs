//! Which stacks an event on a node is about, so that one task's change is no reason to pass over fifty
//! stacks. Pure, and in memory only: what is lost costs a pass too many, or delay.
//!
//! # Invariants
//! - Whoever waits for anything hears of everything but others' tasks; who rests hears of what is its
//!   own.

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
    /// The stacks of each network and volume, by full name.
    sharing: BTreeMap<String, BTreeSet<StackName>>,
    /// Those with something under way, held or failed.
    waiting: BTreeSet<StackName>,
}

#[derive(Debug, Default)]
struct Interest {
    tasks: BTreeSet<TaskId>,
    /// Networks and volumes, by full name.
    resources: BTreeSet<String>,
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
            Event::Image(_) => Some(self.waiting.clone()),
            Event::Resource(name) => {
                let own = self.sharing.get(name).into_iter().flatten();
                Some(own.chain(&self.waiting).cloned().collect())
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
        self.resources = plan.entries.iter().filter_map(|entry| resource(&entry.subject)).collect();
        self.waits |= !is_at_rest(plan);
    }
}

fn resource(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Network(name) | Subject::Volume(name) => Some(name.clone()),
        _ => None,
    }
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
            resources: [network.to_owned()].into(),
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
            (Event::Resource("rests_default".into()), Some("rests waits")),
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
