//! Tasks that were replaced while their node was down, once it is back.

use super::leaving::remove_all;
use crate::condition::available_since;
use crate::draft::{Draft, Judgment, act};
use crate::facts::{Facts, Occupants, short};
use crate::verdict::{Action, Reason};
use crate::wish;
use keel_engine::{Goal, ObservedTask, Slot};

/// What is done about them before anything else is done in the slot.
pub(super) fn returned(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Judgment> {
    let lost = &facts.lost;
    if let Some(kept) = occupants.all().find(|task| lost.reclaimed.contains(&task.id)) {
        let others =
            occupants.all().filter(|task| task.id != kept.id && task.goal != Goal::Removed);
        let mut wishes = vec![wish::again(kept, kept.goal, draft.generation)];
        wishes.extend(others.map(|task| wish::remove(task, false, draft.generation)));
        return Some(act(Action::Update, Reason::Reclaimed, wishes));
    }
    let there =
        |task: &&ObservedTask| lost.returned.contains(&task.id) && task.goal != Goal::Removed;
    let mut others = occupants.all().filter(|task| !lost.returned.contains(&task.id));
    let is_served = others.any(|task| available_since(task).is_some());
    let goes = |task: &&ObservedTask| {
        is_served || available_since(task).is_none() || is_for_good(facts, slot, task)
    };
    let surplus: Vec<_> = occupants.all().filter(there).filter(goes).collect();
    (!surplus.is_empty())
        .then(|| remove_all(surplus.into_iter(), Reason::Surplus, false, draft.generation))
}

fn is_for_good(facts: &Facts<'_>, slot: &Slot, task: &ObservedTask) -> bool {
    let node = facts.node_of(&task.id);
    let replaced = facts.standing.replaced.get(&short(slot));
    node.and_then(|node| replaced?.get(node)).is_some_and(|one| one.for_good)
}
