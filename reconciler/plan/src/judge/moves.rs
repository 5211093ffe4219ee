//! Slots that leave their nodes: how many of the whole pool at a time, and what becomes of those that cannot.

use super::one_slot::Judge;
use crate::condition::is_still;
use crate::draft::{Draft, Judgment, act, hold};
use crate::facts::{Facts, Occupants};
use crate::schedule::spot::Fit;
use crate::verdict::{Action, Hold, Reason};
use crate::why::{Activity, Refusal};
use crate::wish;
use keel_engine::{Goal, NodeName, ObservedTask, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// So many slots of all stacks leave their nodes at a time: images are pulled and processes start for each.
const MOVES: u32 = 5;

/// What other stacks move is looked at again after this time.
const AGAIN: u64 = 15_000;

impl Judge<'_, '_> {
    /// Why a slot does not leave its node yet.
    pub(super) fn awaits_others(&mut self, rest: &[&ObservedTask]) -> Option<Hold> {
        let nodes: BTreeSet<_> = rest.iter().filter_map(|t| self.facts.node_of(&t.id)).collect();
        if !self.want.spot.is_moving() || nodes.len() > 1 {
            return None;
        }
        let facts = self.facts;
        let moving = *self.draft.pool_moves.get_or_insert_with(|| under_way(facts));
        if moving >= MOVES {
            self.draft.wake(facts.now().saturating_add(AGAIN));
            return Some(Hold::RolloutFull { limit: MOVES });
        }
        None
    }

    /// One more slot leaves its node.
    pub(super) fn count_move(&mut self) {
        if let Some(moving) = self.draft.pool_moves.as_mut() {
            *moving += 1;
        }
    }
}

/// Slots of all stacks that have live tasks on several nodes.
fn under_way(facts: &Facts<'_>) -> u32 {
    let mut nodes: BTreeMap<&Slot, BTreeSet<&NodeName>> = BTreeMap::new();
    for (node, seen) in facts.inputs.nodes.all_known() {
        for task in seen.all_tasks().filter(|task| !is_still(task)) {
            if let Some(slot) = task.place.slot() {
                nodes.entry(slot).or_default().insert(node);
            }
        }
    }
    u32::try_from(nodes.values().filter(|nodes| nodes.len() > 1).count()).unwrap_or(u32::MAX)
}

/// A person wants nothing to run on a drained node: what cannot leave it stops there.
pub(super) fn emptied(
    facts: &Facts<'_>,
    draft: &Draft,
    occupants: &Occupants<'_>,
) -> Option<Judgment> {
    let want = occupants.want.as_ref()?;
    let Fit::Stuck(Refusal::Drained, _) = &want.spot.fit else { return None };
    if !facts.inputs.pool.facts(want.node).is_emptied {
        return None;
    }
    let here: Vec<_> =
        occupants.all().filter(|task| facts.node_of(&task.id) == Some(want.node)).collect();
    let wishes: Vec<_> = here
        .iter()
        .filter(|task| task.goal < Goal::Stopped)
        .map(|task| wish::again(task, Goal::Stopped, draft.generation))
        .collect();
    if !wishes.is_empty() {
        return Some(act(Action::Stop, Reason::LeavesNode { because: Refusal::Drained }, wishes));
    }
    match here.iter().all(|task| is_still(task)) {
        true => want.spot.hold().map(hold),
        false => Some(hold(Hold::InProgress { activity: Activity::Stopping })),
    }
}
