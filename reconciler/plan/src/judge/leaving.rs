//! Slots that nothing wants any more.

use crate::condition::available_since;
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
    if let Some(because) = facts.leaving(slot) {
        let reason = Reason::LeavesNode { because: because.clone() };
        return remove_all(occupants.all(), reason, false, draft.generation);
    }
    if let Some(wait) = successors(facts, slot) {
        return hold(wait);
    }
    if !desired.policy.prune {
        return hold(Hold::Kept { because: KeptBecause::PruneOff });
    }
    let reason = match facts.given_up() {
        Some(bad) if is_of_revision(facts, slot) => Reason::Failed { cause: bad.cause.clone() },
        _ => scaled_down(facts, slot).unwrap_or(Reason::NotInSource),
    };
    remove_all(occupants.all(), reason, false, draft.generation)
}

/// Where a service has other slots now (one for each node, say, and no longer so many), the old ones go once
/// all of the new are of use; unless both write to the same data.
fn successors(facts: &Facts<'_>, slot: &Slot) -> Option<Hold> {
    let service = facts.desired?.services.get(&slot.service)?;
    let is_number = slot.slot.parse::<u32>().is_ok();
    if service.placement.mode.is_global() != is_number || facts.has_own_data(&service.spec) {
        return None;
    }
    let wanted =
        facts.slots_of(&slot.service).filter_map(|(_, all)| Some((all, all.want.as_ref()?)));
    let mut placed = wanted.filter(|(_, want)| want.spot.hold().is_none());
    let late = placed.any(|(all, _)| all.current.and_then(available_since).is_none());
    late.then_some(Hold::InProgress { activity: Activity::AwaitingSuccessors })
}

/// Its service has fewer slots now.
fn scaled_down(facts: &Facts<'_>, slot: &Slot) -> Option<Reason> {
    let service = facts.desired?.services.get(&slot.service)?;
    let is_numbered = !service.placement.mode.is_global() && slot.slot.parse::<u32>().is_ok();
    is_numbered.then(|| facts.scaled(&slot.service, service))
}

fn is_of_revision(facts: &Facts<'_>, slot: &Slot) -> bool {
    let service = facts.inputs.desired.and_then(|desired| desired.services.get(&slot.service));
    service.is_some_and(|service| {
        if service.placement.mode.is_global() {
            return true;
        }
        slot.slot
            .parse::<u32>()
            .is_ok_and(|number| number <= facts.replicas(&slot.service, service))
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
