//! Slots that nothing wants any more.

use crate::desired::Desired;
use crate::draft::{Draft, Judgment, act, hold};
use crate::facts::{Facts, Occupants};
use crate::memory::asked_for;
use crate::untouched::not_asked;
use crate::verdict::{Action, Hold, Reason};
use crate::why::{Activity, KeptBecause};
use crate::wish;
use keel_engine::{Goal, ObservedTask, Slot};

/// The revision no longer names it.
pub(super) fn leaving(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Judgment {
    let Some(desired) = facts.desired else {
        return hold(Hold::Kept { because: KeptBecause::NothingDesired });
    };
    if !asked_for(facts.inputs, &slot.service) && desired.services.contains_key(&slot.service) {
        return hold(not_asked());
    }
    if !desired.policy.prune {
        return hold(Hold::Kept { because: KeptBecause::PruneOff });
    }
    let reason = match facts.bad {
        Some(bad) if is_of_revision(facts.inputs.desired, slot) => {
            Reason::Failed { cause: bad.cause.clone() }
        }
        _ => Reason::NotInSource,
    };
    remove_all(occupants.all(), reason, false, draft.generation)
}

fn is_of_revision(desired: Option<&Desired>, slot: &Slot) -> bool {
    let service = desired.and_then(|desired| desired.services.get(&slot.service));
    service.is_some_and(|service| {
        slot.slot.parse::<u32>().is_ok_and(|number| number <= service.replicas)
    })
}

/// Away with tasks; those that are told already are awaited.
pub(crate) fn remove_all<'a>(
    tasks: impl Iterator<Item = &'a ObservedTask>,
    reason: Reason,
    volumes: bool,
    generation: u64,
) -> Judgment {
    let wishes: Vec<_> = tasks
        .filter(|task| task.goal != Goal::Removed)
        .map(|task| wish::remove(task, volumes, generation))
        .collect();
    match wishes.is_empty() {
        true => hold(Hold::InProgress { activity: Activity::Removing }),
        false => act(Action::Remove, reason, wishes),
    }
}
