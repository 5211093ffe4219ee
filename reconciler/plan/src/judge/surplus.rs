//! Pushes that follow each other within the settle time: of the tasks before the newest, one stays.

use crate::condition::available_since;
use crate::facts::{Facts, Want, slotted};
use keel_engine::{Goal, ObservedTask, Slot, cost_of, diff, fields::Cost};
use std::cmp::Reverse;

/// Those of the older tasks, newest first, that nobody needs: all but the one that serves, or that
/// a failure would come back to.
pub(super) fn surplus<'t>(
    facts: &Facts<'_>,
    slot: &Slot,
    want: &Want<'_>,
    older: &[&'t ObservedTask],
) -> Vec<&'t ObservedTask> {
    let good = facts.standing.good_desired.as_deref();
    let good = good.and_then(|good| good.services.get(want.name));
    let good = good.map(|service| slotted(service, slot));
    let is_good = |task: &ObservedTask| {
        let cost = good.as_ref().map(|good| cost_of(&diff(&task.spec, good)));
        cost.is_some_and(|cost| cost != Some(Cost::Replace))
    };
    let serves =
        |task: &ObservedTask| task.goal == Goal::Running && available_since(task).is_some();
    let staying = older.iter().enumerate().filter(|(_, task)| task.goal != Goal::Removed);
    let kept = staying
        .clone()
        .max_by_key(|(age, task)| (serves(task), is_good(task), Reverse(*age)))
        .map(|(age, _)| age);
    staying.filter(|(age, _)| Some(*age) != kept).map(|(_, task)| *task).collect()
}
