//! The verdict for one slot.
//!
//! The tasks in a slot are told apart first: the one that is what it shall be (`current`), and
//! the rest. The old one stays until its successor has settled, stopped where both cannot run at
//! once; so coming back to it needs no new container. Of several old ones, one stays.

mod alone;
mod before_deploy;
mod keep_up;
mod leaving;
mod moves;
mod one_slot;
mod person;
mod reasons;
mod replacement;
mod returned;
mod surplus;

use crate::desired::DesiredService;
use crate::draft::{Draft, Judgment, hold};
use crate::facts::{Facts, Occupants};
use crate::memory::{asked_for, is_complete};
use crate::motion;
use crate::untouched::{not_asked, not_here};
use crate::verdict::{Hold, Verdict};
use keel_engine::{Goal, Phase, Slot, diff};
use leaving::leaving;
use moves::emptied;
use one_slot::Judge;
use person::by_a_person;
use returned::returned;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use leaving::remove_all;

/// What other stacks take and give up is looked at again after this time.
const AGAIN: u64 = 15_000;

/// Judges every slot, dependencies first.
pub(crate) fn slots(facts: &Facts<'_>, draft: &mut Draft) {
    let rank: BTreeMap<&str, usize> = facts.ordered().into_iter().zip(0..).collect();
    let mut slots: Vec<_> = facts.slots.iter().collect();
    slots.sort_by_cached_key(|(slot, occupants)| {
        let at = rank.get(slot.service.as_str()).copied();
        let turn = motion::turn(facts, slot, occupants);
        (at, &slot.service, turn, slot.slot.len(), &slot.slot)
    });
    for (slot, occupants) in slots {
        let verdict = slot_verdict(facts, draft, slot, occupants);
        let verdict = misplaced(facts, draft, occupants, verdict);
        draft.put_slot_on(facts, slot, facts.place_of(occupants), verdict);
    }
    known_bad(facts, draft);
}

/// Only what people asked of single tasks, and what follows from that.
pub(crate) fn asked_slots(facts: &Facts<'_>, draft: &mut Draft) {
    for (slot, occupants) in &facts.slots {
        let reach = facts.out_of_reach(slot, occupants).map(hold);
        let verdict = reach.or_else(|| by_a_person(facts, draft, slot, occupants));
        let verdict = verdict.unwrap_or_else(|| hold(not_asked()));
        draft.put_slot(facts, slot, verdict);
    }
    known_bad(facts, draft);
}

fn slot_verdict(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Judgment {
    if let Some(why) = facts.out_of_reach(slot, occupants) {
        return hold(why);
    }
    if let Some(verdict) = by_a_person(facts, draft, slot, occupants) {
        return verdict;
    }
    if let Some(suspended) = &facts.standing.suspended {
        return hold(Hold::Suspended { by: suspended.by.clone(), since: suspended.since });
    }
    if let Some(verdict) = returned(facts, draft, slot, occupants) {
        return verdict;
    }
    if let Some(verdict) = emptied(facts, draft, occupants) {
        return verdict;
    }
    if let Some(why) = occupants.want.as_ref().and_then(|want| not_here(facts, want)) {
        return led(facts, draft, slot, occupants).unwrap_or_else(|| hold(why));
    }
    if let Some(why) = no_place(facts, draft, slot, occupants) {
        return keep_up::keep_up(facts, draft, slot, occupants).unwrap_or_else(|| hold(why));
    }
    if let Some(why) = before_deploy::wait(facts, draft, slot, occupants) {
        return keep_up::keep_up(facts, draft, slot, occupants).unwrap_or_else(|| hold(why));
    }
    let Some(want) = &occupants.want else { return leaving(facts, draft, slot, occupants) };
    let mut judge = Judge { facts, draft, slot, want };
    if want.service.runs_before_deploy() {
        return judge.job(occupants);
    }
    match (occupants.current, occupants.rest.as_slice()) {
        (None, []) => judge.empty(),
        (None, rest) => judge.outdated(rest),
        (Some(task), []) => judge.alone(task),
        (Some(task), rest) => judge.succession(task, rest),
    }
}

/// A new task has no place: what is there is not touched for it.
fn no_place(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Hold> {
    let want = occupants.want.as_ref().filter(|_| occupants.current.is_none())?;
    let hold = want.spot.hold().filter(|_| !is_complete(facts, slot))?;
    draft.wake(facts.now().saturating_add(AGAIN));
    Some(hold)
}

/// A task that is as it shall be, on a node that it should leave, says so.
fn misplaced(
    facts: &Facts<'_>,
    draft: &mut Draft,
    occupants: &Occupants<'_>,
    verdict: Judgment,
) -> Judgment {
    let stuck = occupants.want.as_ref().and_then(|want| want.spot.hold_of_present());
    match (stuck, verdict) {
        (Some(stuck), Judgment::Hold(Hold::Converged)) => {
            draft.wake(facts.now().saturating_add(AGAIN));
            hold(stuck)
        }
        (_, verdict) => verdict,
    }
}

/// What was not asked for follows what was all the same, if its file says so.
fn led(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Judgment> {
    let (want, task) = (occupants.want.as_ref()?, occupants.current?);
    let left_out = !asked_for(facts.inputs, want.name) && occupants.rest.is_empty();
    let runs = left_out && task.phase == Phase::Running && task.goal == Goal::Running;
    let judge = Judge { facts, draft, slot, want };
    let service = judge.leader(task).filter(|_| runs)?;
    Some(person::follow(draft, task, &service))
}

/// The slots of a service of the revision, though something else is planned.
fn revision_slots(facts: &Facts<'_>, name: &str, service: &DesiredService) -> Vec<Slot> {
    match service.placement.mode.is_global() {
        true => facts.slots_of(name).map(|(slot, _)| slot.clone()).collect(),
        false => numbered(facts, name, facts.replicas(name, service)),
    }
}

/// So many slots of a service: those that are wanted, and the first that are not.
fn numbered(facts: &Facts<'_>, name: &str, count: u32) -> Vec<Slot> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let wanted = facts.wanted_of(name).into_iter().map(|(slot, _)| slot.clone());
    let mut slots: BTreeSet<_> = wanted.take(count).collect();
    let mut numbers = 1..;
    while slots.len() < count {
        let Some(number) = numbers.next() else { break };
        slots.insert(crate::facts::slot(facts.inputs, name, number));
    }
    slots.into_iter().collect()
}

/// Slots that are as they were before a revision that failed say so.
fn known_bad(facts: &Facts<'_>, draft: &mut Draft) {
    let (Some(bad), Some(revision), Some(planned)) =
        (facts.bad, facts.inputs.desired, facts.desired)
    else {
        return;
    };
    let why = || Hold::KnownBad { revision: bad.revision.clone(), cause: bad.cause.clone() };
    for (name, service) in &revision.services {
        let unchanged =
            planned.services.get(name).is_some_and(|planned| planned.hash == service.hash);
        for slot in revision_slots(facts, name, service) {
            let was_applied = facts.slots.get(&slot).is_some_and(|occupants| {
                let want = occupants.want.as_ref();
                want.is_some_and(|want| {
                    !diff(&want.spec, &crate::facts::slotted(service, &slot)).is_empty()
                })
            });
            match draft.of_slot(&slot) {
                None => draft.put_slot(facts, &slot, hold(why())),
                Some(Verdict::Hold(Hold::Converged)) if !unchanged || was_applied => {
                    draft.put_slot(facts, &slot, hold(why()));
                }
                Some(_) => {}
            }
        }
    }
}
