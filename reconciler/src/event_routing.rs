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
        let concern = self.stacks.entry(stack.clone()).or_default();
        concern.tasks.extend(plan.wishes().filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some(task.id.clone()),
            _ => None,
        }));
        concern.resources =
            plan.entries.iter().filter_map(|entry| resource(&entry.subject)).collect();
        concern.waits |= !is_at_rest(plan);
    }

    /// What a pass saw and came to.
    pub fn learn(&mut self, stack: &StackName, seen: &Nodes, plan: &Plan, refused: bool) {
        let mine = seen.tasks_of(stack).map(|(_, task)| task);
        let concern = self.stacks.entry(stack.clone()).or_default();
        concern.tasks = mine.map(|task| task.id.clone()).collect();
        concern.waits = false;
        self.expect(stack, plan);
        if let Some(concern) = self.stacks.get_mut(stack) {
            concern.waits |= refused;
        }
    }

    /// Nothing is left of it.
    pub fn forget(&mut self, stack: &StackName) {
        self.stacks.remove(stack);
    }

    /// Whom an event is about; `None`: it may be about any.
    pub fn of(&self, event: &Event) -> Option<BTreeSet<StackName>> {
        let own = |concern: &Interest| match event {
            Event::Task(task) => concern.tasks.contains(task),
            Event::Resource(name) => concern.resources.contains(name),
            _ => false,
        };
        let owned = match event {
            Event::Task(_) => self.stacks.values().any(own),
            Event::Image(_) | Event::Resource(_) => false,
            // Also what a later node may tell of.
            _ => return None,
        };
        // A task of nobody's may hold what somebody waits for: a port, a name.
        let concerned = |concern: &Interest| own(concern) || (concern.waits && !owned);
        let all = self.stacks.iter().filter(|(_, concern)| concerned(concern));
        Some(all.map(|(stack, _)| stack.clone()).collect())
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
        let stacks = [
            (stack("rests"), concern('a', "rests_default", false)),
            (stack("waits"), concern('b', "waits_default", true)),
        ];
        let concerns = EventRouting { stacks: stacks.into() };
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
    }
}
