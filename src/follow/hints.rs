//! Which hints are a reason to ask again what is followed. Pure.
//!
//! # Invariants
//! - A task stays where it is placed: one that the words did not mean is not asked for at each of its changes.
//!   Twice makes sure, since the first hint of a task may come before its record.

use keel_api::shapes::{Hint, TaskRef};
use keel_engine::TaskId;
use std::collections::{BTreeMap, BTreeSet};

/// So often a task was not meant after a hint of it that its hints are left out.
const SURE: u8 = 2;

/// Tasks that others asked for.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// How often each was not meant.
    counts: BTreeMap<TaskId, u8>,
    /// Hinted at since the last answer.
    fresh: BTreeSet<TaskId>,
}

impl Strangers {
    /// Whether a hint may be about what is followed.
    pub(super) fn may_concern(&mut self, hint: &Hint) -> bool {
        match hint {
            Hint::Task(id) if self.counts.get(id).is_some_and(|count| *count >= SURE) => false,
            Hint::Task(id) => {
                self.fresh.insert(id.clone());
                true
            }
            // They have no output.
            Hint::Image(_) | Hint::Resource(_) => false,
            Hint::Missed => true,
        }
    }

    /// The words meant these when they were asked for after the hints.
    pub(super) fn learn(&mut self, meant: &[TaskRef]) {
        for id in std::mem::take(&mut self.fresh) {
            if !meant.iter().any(|task| task.id == id) {
                *self.counts.entry(id).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_tasks_are_asked_for_twice_and_not_again() {
        let (own, other) = (TaskId::from_seed("own"), TaskId::from_seed("other"));
        let mut strangers = Strangers::default();
        let mut asks = |meant: &[TaskId], id: &TaskId| {
            let asks = strangers.may_concern(&Hint::Task(id.clone()));
            let task = |id: &TaskId| TaskRef {
                id: id.clone(),
                name: String::new(),
                place: keel_engine::Place::OneOff(String::new()),
                phase: keel_engine::Phase::Running,
                tty: false,
                stdin: false,
                attempts: 0,
                exit_code: None,
                exit_cause: None,
                message: None,
            };
            strangers.learn(&meant.iter().map(task).collect::<Vec<_>>());
            asks
        };
        let all = [own.clone()];
        assert!(!strangers_after(&mut asks, &all, &other));
        assert!((0..5).all(|_| asks(&all, &own)), "its own is asked for each time");
        assert!(asks(&[], &TaskId::from_seed("new")), "its record may come later");
        assert!(asks(&all, &TaskId::from_seed("new")));
        let mut strangers = Strangers::default();
        assert!(!strangers.may_concern(&Hint::Image("busybox:1".into())));
        assert!(strangers.may_concern(&Hint::Missed));
    }

    /// Whether a stranger is asked for after it was not meant twice.
    fn strangers_after(
        asks: &mut impl FnMut(&[TaskId], &TaskId) -> bool,
        all: &[TaskId],
        other: &TaskId,
    ) -> bool {
        assert!(asks(all, other) && asks(all, other));
        asks(all, other)
    }
}
