//! How many slots of a service are replaced at a time, and which are next.
//!
//! # Invariants
//! - Everything is counted anew in each plan, from the tasks that are there: nothing is remembered.
//! - A slot whose failure is within what its service allows is no longer under way, and keeps nobody
//!   from going on. Nor does one whose node is given up.

use crate::condition::{Condition, Fault, available_since, exits, is_still};
use crate::desired::DesiredService;
use crate::facts::{Facts, Occupants, Want, short};
use crate::memory::{failure, has_failed, is_complete};
use crate::occupants::{in_reach, slotted};
use crate::pace::FailureAction;
use crate::verdict::Hold;
use crate::why::Activity;
use keel_engine::{Goal, ObservedTask, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// A slot that is down for another reason than its rollout is awaited for so long; milliseconds.
const STALL: u64 = 600_000;

/// So many exits in a row are no short absence.
const CRASHES: u32 = 3;

/// What of a service is under way, as this plan finds it and adds to it.
#[derive(Default)]
pub(crate) struct Motion {
    limit: usize,
    limit_of_moves: usize,
    /// Slots that have what they shall have and have not settled, or that get it by this plan.
    begun: BTreeSet<Slot>,
    /// Those of them that still serve, and whose successor waits for the word to run.
    prepared: BTreeSet<Slot>,
    /// Slots that were stopped for what they shall have.
    emptied: BTreeSet<Slot>,
    /// The first of them that failed for good, and whether it is only late.
    failed: Option<(Slot, bool)>,
    /// On the way back more failed than may: no further slot begins.
    is_over: bool,
    /// Slots that nobody wants any more and that are still there.
    surplus: bool,
    /// Slots that are down for other reasons, each with how long it is awaited.
    down: BTreeMap<Slot, u64>,
}

/// Why a slot does not begin.
pub(crate) enum Full {
    /// So many are under way.
    Limit(u32),
    /// This one failed; whether it is only late.
    Failed(Slot, bool),
    /// Its service has fewer slots first.
    Shrinks,
}

impl Motion {
    pub fn of(facts: &Facts<'_>, name: &str, service: &DesiredService) -> Self {
        let pace = facts.pace(service);
        let limit = pace.limit(crate::memory::wanted_slots(facts, name));
        let mut motion = Self {
            limit: to_size(limit),
            limit_of_moves: to_size(pace.limit_of_moves()),
            is_over: facts.comes_back()
                && facts.standing.pinned.is_none()
                && pace.failure_action != Some(FailureAction::Continue)
                && has_failed(facts, name, service),
            surplus: facts.slots_of(name).any(|(slot, all)| shrinks(facts, service, slot, all)),
            ..Self::default()
        };
        for (slot, all) in facts.slots_of(name) {
            motion.add(facts, slot, all);
        }
        motion
    }

    fn add(&mut self, facts: &Facts<'_>, slot: &Slot, all: &Occupants<'_>) {
        if is_away(facts, slot, all) || !in_motion(facts, slot, all) {
            if let Some(until) = down_until(facts, slot, all).filter(|until| *until > facts.now()) {
                self.down.insert(slot.clone(), until);
            }
            return;
        }
        let fault = fault(facts, all);
        if fault.is_some() && !self.is_over && is_done_with(facts, all) {
            return;
        }
        if let Some(fault) = fault.filter(|_| self.failed.is_none()) {
            self.failed = Some((slot.clone(), fault == Fault::Late));
        }
        // What has only tasks of other revisions, and serves, holds no room.
        match all.current {
            Some(task) if !waits_to_come_back(task, all) => {
                self.begun.insert(slot.clone());
                if task.goal == Goal::Ready && serves(all) {
                    self.prepared.insert(slot.clone());
                }
            }
            None if !serves(all) => drop(self.emptied.insert(slot.clone())),
            // It began on a node that it leaves before it has settled.
            None if is_begun(facts, all) => drop(self.begun.insert(slot.clone())),
            _ => {}
        }
    }

    /// Lets a slot begin, if there is room for one more.
    pub fn enter(&mut self, slot: &Slot, is_move: bool) -> Result<(), Full> {
        if self.begun.contains(slot) {
            return Ok(());
        }
        if self.surplus {
            return Err(Full::Shrinks);
        }
        let limit = if is_move { self.limit_of_moves } else { self.limit };
        let is_empty = self.emptied.contains(slot);
        // Who serves nobody is not kept waiting by those that have not begun to stop.
        let others = match is_empty || self.down.contains_key(slot) {
            true => self.begun.difference(&self.prepared).count(),
            false => self.begun.union(&self.emptied).count(),
        };
        if others >= limit || (self.is_over && !is_empty) {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            return Err(match &self.failed {
                Some((failed, late)) if failed != slot => Full::Failed(failed.clone(), *late),
                _ => Full::Limit(limit),
            });
        }
        self.down.remove(slot);
        self.begun.insert(slot.clone());
        Ok(())
    }

    /// Lets a slot whose successor is ready stop what serves, if there is room for one more.
    pub fn hand_over(&mut self, slot: &Slot, is_move: bool) -> Result<(), Full> {
        let limit = if is_move { self.limit_of_moves } else { self.limit };
        let under_way = self.begun.difference(&self.prepared).chain(&self.emptied);
        let others: BTreeSet<_> = under_way.filter(|other| *other != slot).collect();
        if self.prepared.contains(slot) && others.len() >= limit {
            return Err(Full::Limit(u32::try_from(limit).unwrap_or(u32::MAX)));
        }
        self.prepared.remove(slot);
        Ok(())
    }

    /// A slot that is down for another reason, and until when no further one is stopped for it.
    pub fn awaited(&self, slot: &Slot) -> Option<(&Slot, u64)> {
        let mut others = self.down.iter().filter(|(down, _)| *down != slot);
        others.next().map(|(down, until)| (down, *until))
    }
}

fn to_size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether a slot is under way: two tasks in it, a new one that has not settled, or an old one
/// that goes so that its successor can come.
fn in_motion(facts: &Facts<'_>, slot: &Slot, occupants: &Occupants<'_>) -> bool {
    let Some(want) = &occupants.want else { return false };
    // What a person stopped moves nowhere, and keeps nobody from moving.
    if facts.standing.stopped.contains(&short(slot)) {
        return false;
    }
    match occupants.current {
        Some(_) if !occupants.rest.is_empty() => true,
        Some(task) => {
            let unsettled = matches!(
                facts.condition(want, task),
                Condition::Waiting { .. } | Condition::Failed { .. }
            );
            facts.patience(want, task).fresh && unsettled
        }
        None => {
            occupants.rest.len() > 1 || occupants.rest.iter().any(|task| task.goal == Goal::Stopped)
        }
    }
}

/// Whether the newest task of a slot is what the slot shall have, wherever it is, and has not settled, or not taken
/// over yet.
fn is_begun(facts: &Facts<'_>, all: &Occupants<'_>) -> bool {
    let Some((want, (task, older))) = all.want.as_ref().zip(all.rest.split_first()) else {
        return false;
    };
    let fits = |task: &ObservedTask| in_reach(&task.spec, &want.spec);
    let waits = matches!(facts.condition(want, task), Condition::Waiting { .. });
    let has_old = older.iter().any(|task| task.goal != Goal::Removed && !fits(task));
    task.goal <= Goal::Running && fits(task) && (waits || has_old)
}

/// Whether its node is given up, so that nobody knows when it will have settled.
fn is_away(facts: &Facts<'_>, slot: &Slot, all: &Occupants<'_>) -> bool {
    let hold = facts.out_of_reach(slot, all);
    matches!(hold, Some(Hold::NodeDown { .. })) && all.all().count() < 2
}

/// What is wrong with what a slot shall have, if it failed for good.
fn fault(facts: &Facts<'_>, all: &Occupants<'_>) -> Option<Fault> {
    let (want, task) = (all.want.as_ref()?, all.current?);
    match facts.condition(want, task) {
        Condition::Failed { fault, .. } => Some(fault),
        _ => None,
    }
}

/// Whether a failure is no longer what its rollout waits for: it counted, and that was not too many; or
/// that rollout is over.
fn is_done_with(facts: &Facts<'_>, all: &Occupants<'_>) -> bool {
    let Some((want, task)) = all.want.as_ref().zip(all.current) else { return false };
    let was_judged = facts.bad.is_none() || facts.goes_on() || facts.comes_back();
    (was_judged && failure(facts, all).is_some()) || !facts.patience(want, task).fresh
}

/// Whether it is to come back, and one that serves has to go for it.
fn waits_to_come_back(task: &ObservedTask, all: &Occupants<'_>) -> bool {
    let is_off = task.goal == Goal::Stopped || is_still(task);
    is_off && all.rest.iter().any(|other| available_since(other).is_some())
}

/// Whether a slot goes because its service has fewer of them now.
fn shrinks(facts: &Facts<'_>, service: &DesiredService, slot: &Slot, all: &Occupants<'_>) -> bool {
    let is_number = slot.slot.parse::<u32>().is_ok() && !service.placement.mode.is_global();
    let prunes = facts.desired.is_some_and(|desired| desired.policy.prune);
    is_number
        && prunes
        && all.want.is_none()
        && facts.out_of_reach(slot, all).is_none()
        && all.all().next().is_some()
}

/// Until when a slot is awaited that is of no use, for no reason of a rollout's. One that crashes again
/// and again, has ended for good, or has been down for long, is not.
fn down_until(facts: &Facts<'_>, slot: &Slot, all: &Occupants<'_>) -> Option<u64> {
    let want = all.want.as_ref()?;
    let stopped = facts.standing.stopped.contains(&short(slot));
    if stopped || !want.service.held.is_empty() || is_complete(facts, slot) {
        return None;
    }
    let is_lost = facts.lost.slots.contains_key(&short(slot));
    let silent = facts.place(slot).and_then(|node| facts.inputs.nodes.silent(node));
    let since = match (silent, all.current.or(all.rest.first().copied())) {
        // Its slot gets the revision once the node is back.
        (Some(_), _) if want.service.placement.mode.is_global() => return None,
        (Some(silent), _) => silent.since,
        // Nothing brings it back.
        (None, Some(task)) if is_broken(facts, want, task) => return None,
        (None, Some(task)) => down_since(task).filter(|_| !serves(all))?,
        (None, None) if is_lost && !want.spot.is_nowhere() => facts.now(),
        (None, None) => return None,
    };
    Some(since.saturating_add(STALL))
}

fn is_broken(facts: &Facts<'_>, want: &Want<'_>, task: &ObservedTask) -> bool {
    let condition = facts.condition(want, task);
    matches!(condition, Condition::Failed { fault: Fault::Broken, .. })
}

fn serves(all: &Occupants<'_>) -> bool {
    all.all().any(|task| available_since(task).is_some())
}

fn down_since(task: &ObservedTask) -> Option<u64> {
    let times = [task.finished, task.health_since, task.started, Some(task.created)];
    times.into_iter().flatten().max().filter(|_| exits(task) < CRASHES)
}

/// Which slots of a service begin first: those that nobody misses, then those of a revision that is
/// neither the good one nor the new one.
pub(crate) fn turn(facts: &Facts<'_>, slot: &Slot, all: &Occupants<'_>) -> u8 {
    if all.current.is_some() || all.rest.is_empty() || !serves(all) {
        return 0;
    }
    let good = facts.standing.good_desired.as_deref();
    let good = good.and_then(|good| good.services.get(&slot.service));
    let Some(good) = good.map(|service| slotted(service, slot)) else { return 2 };
    let serving = |task: &&&ObservedTask| available_since(task).is_some();
    let mut serving = all.rest.iter().filter(serving);
    if serving.any(|task| in_reach(&task.spec, &good)) { 2 } else { 1 }
}

/// What a slot says that waits for another one to recover.
pub(crate) fn awaiting_recovery(of: &Slot) -> Activity {
    Activity::AwaitingRecovery { slot: short(of) }
}
