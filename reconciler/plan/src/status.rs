//! How a stack is: three answers that are never mixed into one word, and notes for people.

mod note;

pub use note::Note;

use crate::Inputs;
use crate::apart::apart;
use crate::condition::{Condition, available_since, crashes, ended, exits};
use crate::desired::Held;
use crate::facts::{self, Facts, Occupants, Want};
use crate::lost::is_given_up;
use crate::machine::lack_beyond;
use crate::memory::is_complete;
use crate::standing::{KnownBad, Suspended, Taken};
use crate::text::of_note;
use crate::verdict::{Hold, Subject, Verdict};
use crate::why::FailureCause;
use keel_engine::{Goal, NodeName, ObservedTask, Silent, Slot, diff};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long it is told that a stack has another owner now.
const TOLD_FOR: u64 = 24 * 60 * 60 * 1000;

/// Desired against applied, only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Sync {
    /// Every slot was assigned what is desired.
    InSync,
    /// Not all of them, or others too.
    OutOfSync,
    /// Nothing is known to be desired.
    #[default]
    Unknown,
}

/// How the tasks are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// All that shall be there is, and well.
    Healthy,
    /// On the way, within the time given.
    Progressing,
    /// Something is not well.
    Degraded,
    /// Nothing runs.
    Missing,
    /// A person holds it off.
    Suspended,
    /// It cannot be known.
    #[default]
    Unknown,
}

/// How a stack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Desired against applied.
    pub sync: Sync,
    /// How the tasks are.
    pub health: Health,
    /// What a tired person needs, worst first.
    pub notes: Vec<Note>,
    /// Whose it was, where it was taken over within the last day.
    pub taken_from: Option<String>,
    /// Each service: running and healthy tasks, desired tasks.
    pub services: BTreeMap<String, (u32, u32)>,
    /// Drift that is there now (where the observation looked for it).
    pub drift: u32,
    /// The desired revision where it is what was applied, though it may have changed no task; else
    /// that of the newest task that is to run.
    pub revision: String,
}

/// How a stack is.
#[must_use]
pub fn status(inputs: &Inputs<'_>) -> Status {
    let nodes = crate::ages::by_our_clock(inputs.nodes, inputs.now);
    let inputs = &Inputs { nodes: &nodes, ..inputs.clone() };
    let facts = Facts::new(inputs, inputs.standing, inputs.desired);
    let mut notes = notes(&facts);
    notes.sort_by_cached_key(|note| (note.rank(), of_note(note)));
    let sync = sync(&facts);
    Status {
        sync,
        health: health_of_planned(&facts),
        notes,
        taken_from: taken(&facts).map(|taken| taken.from.clone()),
        services: services(&facts),
        drift: drift(inputs),
        revision: revision(&facts, sync),
    }
}

/// How it is, is said of what is planned towards: after a failure, what was good before it.
fn health_of_planned(facts: &Facts<'_>) -> Health {
    let followed = crate::with_pin(facts.inputs);
    let planned = crate::planned(&followed, facts.standing);
    let is_revision = match (planned, facts.desired) {
        (Some(planned), Some(revision)) => std::ptr::eq(planned, revision),
        (planned, revision) => planned.is_none() && revision.is_none(),
    };
    match is_revision {
        true => health(facts),
        false => health(&Facts::new(&followed, facts.standing, planned)),
    }
}

fn taken<'a>(facts: &Facts<'a>) -> Option<&'a Taken> {
    facts.standing.taken.as_ref().filter(|taken| facts.now() < taken.at.saturating_add(TOLD_FOR))
}

fn revision(facts: &Facts<'_>, sync: Sync) -> String {
    match facts.inputs.desired.filter(|_| sync == Sync::InSync) {
        Some(desired) => desired.revision.clone(),
        None => {
            // A job of a deploy is not what runs: that may yet be the revision before.
            let job = |slot: &Slot| facts.standing.jobs.contains_key(&slot.service);
            let tasks: Vec<_> = facts.tasks().filter(|(slot, _)| !job(slot)).collect();
            let mut tasks = tasks.into_iter().map(|(_, task)| task);
            let newest = tasks.clone().find(|task| task.goal == Goal::Running);
            newest.or_else(|| tasks.next()).map(|task| task.revision.clone()).unwrap_or_default()
        }
    }
}

/// Desired against applied: a task that crashes may well be the one that was asked for.
fn sync(facts: &Facts<'_>) -> Sync {
    let Some(desired) = facts.inputs.desired else { return Sync::Unknown };
    let in_sync = facts.slots.iter().all(|(slot, occupants)| {
        let Some(want) = &occupants.want else { return is_with_its_node(facts, slot, occupants) };
        if is_complete(facts, slot) {
            return true;
        }
        // What a planner falls back to is not what the revision asks for.
        let own = facts::slotted(want.service, slot);
        let same =
            |task: &ObservedTask| task.goal != Goal::Ready && diff(&task.spec, &own).is_empty();
        let leaves = |task: &&ObservedTask| task.goal > Goal::Running;
        occupants.rest.iter().all(leaves) && occupants.current.is_some_and(same)
    });
    let resources = |name: &String| facts.inputs.nodes.network(name).is_some();
    match in_sync && desired.networks.keys().all(resources) {
        _ if not_in_sight(facts) => Sync::Unknown,
        true => Sync::InSync,
        false => Sync::OutOfSync,
    }
}

/// Whether it is there only because its node, which is given up, cannot be told.
fn is_with_its_node(facts: &Facts<'_>, slot: &Slot, occupants: &Occupants<'_>) -> bool {
    let is_global = facts.desired.and_then(|desired| desired.services.get(&slot.service));
    let is_global = is_global.is_some_and(|service| service.placement.mode.is_global());
    let node = |task: &ObservedTask| facts.node_of(&task.id);
    let mut nodes = occupants.all().filter_map(node);
    is_global && nodes.all(|node| is_given_up(facts.inputs, node))
}

/// Whether a slot may have a task on a silent node that nobody has seen: what it was assigned is
/// not known then.
fn not_in_sight(facts: &Facts<'_>) -> bool {
    let mut slots = facts.slots.iter();
    slots.any(|(slot, all)| all.all().next().is_none() && facts.out_of_reach(slot, all).is_some())
}

fn health(facts: &Facts<'_>) -> Health {
    if facts.standing.suspended.is_some() {
        return Health::Suspended;
    }
    if facts.inputs.desired.is_none() {
        return Health::Unknown;
    }
    let wants = facts.slots.iter().filter(|(_, occupants)| occupants.want.is_some());
    let none = wants.clone().next().is_none();
    let nowhere = facts.nowhere().map(|_| Health::Degraded);
    let each = wants.filter_map(|(slot, occupants)| slot_health(facts, slot, occupants));
    let each: Vec<Health> = each.chain(nowhere).collect();
    if each.is_empty() {
        return if none { Health::Healthy } else { Health::Missing };
    }
    let wanted = each.iter().any(|health| *health != Health::Suspended);
    if wanted && each.iter().all(|h| matches!(h, Health::Missing | Health::Suspended)) {
        return Health::Missing;
    }
    let worst = [Health::Degraded, Health::Unknown, Health::Progressing, Health::Missing];
    let failed = facts.bad.is_some();
    let found = worst.into_iter().find(|worst| each.contains(worst));
    match found {
        Some(Health::Missing) if failed => Health::Degraded,
        Some(Health::Missing) => Health::Progressing,
        Some(other) => other,
        None if !wanted => Health::Suspended,
        None => Health::Healthy,
    }
}

/// One slot; `Suspended` for one that a person stopped. What is held has no say: the notes do.
fn slot_health(facts: &Facts<'_>, slot: &Slot, occupants: &Occupants<'_>) -> Option<Health> {
    let want = occupants.want.as_ref()?;
    if occupants.current.is_none() && !want.service.held.is_empty() {
        return None;
    }
    Some(wanted_health(facts, slot, occupants, want))
}

fn wanted_health(
    facts: &Facts<'_>,
    slot: &Slot,
    occupants: &Occupants<'_>,
    want: &Want<'_>,
) -> Health {
    if facts.standing.stopped.contains(&facts::short(slot)) {
        return Health::Suspended;
    }
    if is_complete(facts, slot) {
        return Health::Healthy;
    }
    match facts.out_of_reach(slot, occupants) {
        Some(Hold::NodeDown { .. }) => return Health::Degraded,
        Some(_) => return Health::Unknown,
        None => {}
    }
    let serves = occupants.rest.iter().any(|task| available_since(task).is_some());
    let new = occupants.current.map(|task| of_task(facts, want, task));
    match new {
        None if want.spot.hold().is_some() && !serves => Health::Degraded,
        None if serves => Health::Progressing,
        None => match occupants.rest.first() {
            Some(task) => of_task(facts, want, task),
            None => Health::Missing,
        },
        Some(Health::Healthy) if facts.bad.is_none() && !occupants.rest.is_empty() => {
            Health::Progressing
        }
        Some(health) => health,
    }
}

fn of_task(facts: &Facts<'_>, want: &Want<'_>, task: &ObservedTask) -> Health {
    if task.health == keel_engine::Health::Unhealthy {
        return Health::Degraded;
    }
    match facts.condition(want, task) {
        Condition::Well | Condition::Complete => Health::Healthy,
        // One that crashed already is not well, even while it is given more time.
        Condition::Waiting { .. } if exits(task) > 0 => Health::Degraded,
        Condition::Waiting { .. } if want.service.runs_before_deploy() => Health::Progressing,
        // Of use already: it is only watched for a while.
        Condition::Waiting { .. } if available_since(task).is_some() => Health::Healthy,
        Condition::Waiting { .. } => Health::Progressing,
        Condition::Failed { .. } | Condition::Killed { .. } | Condition::Ended { .. } => {
            Health::Degraded
        }
        Condition::Ready | Condition::Stopping | Condition::Stopped | Condition::Going => {
            Health::Progressing
        }
    }
}

/// What is broken, what is held, what is under way.
fn notes(facts: &Facts<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let pinned = facts.standing.pinned.as_deref().map(|pinned| &pinned.desired.hash);
    let bad = pinned.map_or(facts.bad, |hash| facts.standing.bad.get(hash));
    if let Some(bad) = bad {
        let (revision, cause) = (bad.revision.clone(), bad.cause.clone());
        let (stays, action) = (facts.is_frozen(), bad.action);
        notes.push(Note::RevisionFailed { revision, cause, stays, action });
    }
    if let Some(Suspended { by, reason, .. }) = facts.standing.suspended.clone() {
        notes.push(Note::Suspended { by, reason });
    }
    if let Some(pinned) = &facts.standing.pinned {
        let (revision, by) = (pinned.desired.revision.clone(), pinned.by.clone());
        notes.push(Note::RolledBack { revision, by });
    }
    notes.extend(scaled(facts));
    if let Some(taken) = taken(facts) {
        notes.push(Note::TakenOver { from: taken.from.clone() });
    }
    let told = |note: &Note| bad.is_some_and(|bad| is_told_by(bad, note));
    let slots = facts.slots.iter().filter_map(|(slot, all)| slot_note(facts, slot, all));
    notes.extend(slots.filter(|note| !told(note)));
    notes.extend(
        facts.nowhere().map(|(service, nodes)| Note::Nowhere {
            service: service.clone(),
            nodes: nodes.clone(),
        }),
    );
    notes.extend(silent(facts));
    notes.extend(not_begun(facts));
    notes.extend(held(facts));
    notes.extend(images(facts));
    notes.extend(apart(facts));
    notes
}

/// Services whose number of tasks a person set.
fn scaled<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = Note> + 'f {
    let desired = facts.desired.into_iter();
    let scales = desired.flat_map(|desired| facts.standing.scales(desired, facts.now()));
    scales.map(|(service, desired, scale)| Note::Scaled {
        service: service.clone(),
        desired,
        scale: scale.clone(),
        left: scale.left(facts.now()),
    })
}

/// Whether the mark on a revision says what a note does.
fn is_told_by(bad: &KnownBad, note: &Note) -> bool {
    let Note::Failed { slot, cause } = note else { return false };
    let (slot, cause) = (slot.clone(), Box::new(cause.clone()));
    crate::text::is_same_failure(&FailureCause::InSlot { slot, cause }, &bad.cause)
}

/// Services that are not run here.
fn held<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = Note> + 'f {
    let services = facts.desired.iter().flat_map(|desired| &desired.services);
    services.flat_map(|(name, service)| {
        service.held.iter().map(|Held { field, why, at }| Note::Held {
            service: name.clone(),
            field: field.clone(),
            why: why.clone(),
            at: at.clone(),
        })
    })
}

/// Images that are needed and cannot be had.
fn images<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = Note> + 'f {
    let failed = facts.inputs.nodes.all_images().map(|(_, image)| image).filter(|image| {
        let used = |occupants: &Occupants<'_>| {
            occupants.want.as_ref().is_some_and(|want| want.spec.image == image.reference)
        };
        image.digest.is_none() && facts.slots.values().any(used)
    });
    failed.filter_map(|image| {
        let (reference, failure) = (image.reference.clone(), image.failure.clone()?);
        Some(Note::Image { reference, failure })
    })
}

/// Nodes that do not answer, each with what is on it.
fn silent(facts: &Facts<'_>) -> Vec<Note> {
    let on = |node: &NodeName| {
        let slots = facts.slots.iter().filter(|(slot, all)| {
            let wanted = all.want.is_some() && facts.place(slot) == Some(node);
            wanted || all.all().any(|task| facts.node_of(&task.id) == Some(node))
        });
        slots.map(|(slot, _)| slot.clone()).collect::<Vec<_>>()
    };
    let all = facts.inputs.nodes.all_silent().map(|silent| (silent, on(silent.node)));
    all.flat_map(|(silent, slots)| of_silent(facts, silent, slots)).collect()
}

/// What is held to a node that is given up says so for itself, with the command to give.
fn of_silent(facts: &Facts<'_>, silent: Silent<'_>, slots: Vec<Slot>) -> Vec<Note> {
    let node = silent.node.clone();
    if !is_given_up(facts.inputs, &node) {
        let seconds = facts.now().saturating_sub(silent.since) / 1000;
        let some = !slots.is_empty();
        return some.then_some(Note::NodeSilent { node, slots, seconds }).into_iter().collect();
    }
    let tied = |slot: &Slot| {
        let hold = facts.out_of_reach(slot, facts.slots.get(slot)?)?;
        matches!(hold, Hold::NodeDown { tie: Some(_), .. }).then_some(hold)
    };
    let (held, free): (Vec<_>, Vec<_>) =
        slots.into_iter().map(|slot| (tied(&slot), slot)).partition(|(hold, _)| hold.is_some());
    let held = held.into_iter().filter_map(|(hold, slot)| Some(Note::Waits { slot, hold: hold? }));
    let slots: Vec<_> = free.into_iter().map(|(_, slot)| slot).collect();
    let rest = (!slots.is_empty()).then_some(Note::NodeDown { node, slots });
    held.chain(rest).collect()
}

/// Slots without a task, where the plan says why there can be none.
fn not_begun(facts: &Facts<'_>) -> Vec<Note> {
    let empty = |slot: &Slot| {
        let occupants = facts.slots.get(slot);
        occupants.is_some_and(|occupants| occupants.want.is_some() && occupants.current.is_none())
    };
    if !facts.slots.keys().any(empty) {
        return vec![];
    }
    let entries = crate::plan(facts.inputs).entries.into_iter();
    let why = entries.filter_map(|entry| match (entry.subject, entry.verdict) {
        (Subject::Slot(slot), Verdict::Hold(hold)) if empty(&slot) => {
            // What holds a service is told of the service itself.
            let own = facts.slots.get(&slot)?.want.as_ref()?.service.held.is_empty();
            why_empty(slot, hold).filter(|_| own)
        }
        _ => None,
    });
    why.collect()
}

/// Why a slot is without a task, where nothing else of the notes says so.
fn why_empty(slot: Slot, hold: Hold) -> Option<Note> {
    match hold {
        Hold::Failed { cause } => Some(Note::Failed { slot, cause }),
        Hold::RunsInDocker { .. }
        | Hold::NoPlace { .. }
        | Hold::CannotMove { .. }
        | Hold::NotFound { .. }
        | Hold::Lacking { .. }
        | Hold::NotRunYet { .. }
        | Hold::AwaitingDependency { .. }
        | Hold::AwaitingHealth { .. }
        | Hold::AwaitingImage { failure: None, .. }
        | Hold::InProgress { .. } => Some(Note::Waits { slot, hold }),
        // Told with the stack or the image; or a person's own doing.
        _ => None,
    }
}

fn slot_note(facts: &Facts<'_>, slot: &Slot, occupants: &Occupants<'_>) -> Option<Note> {
    let slot = slot.clone();
    if facts.standing.stopped.contains(&facts::short(&slot)) {
        return Some(Note::Stopped { slot });
    }
    let (want, task) = (occupants.want.as_ref()?, occupants.current?);
    if is_complete(facts, &slot) {
        return None;
    }
    if facts.out_of_reach(&slot, occupants).is_some() {
        return None;
    }
    match facts.condition(want, task) {
        Condition::Failed { cause, .. } => Some(Note::Failed { slot, cause }),
        Condition::Killed { .. } => {
            Some(Note::Failed { slot, cause: FailureCause::KilledFromOutside })
        }
        Condition::Ended { .. } => Some(Note::Ended { slot, ending: ended(task) }),
        _ if task.health == keel_engine::Health::Unhealthy => {
            let said = task.health_output.as_deref().unwrap_or_default().trim();
            let output = said.lines().next_back().map(str::to_owned);
            Some(Note::Unhealthy { slot, output })
        }
        Condition::Waiting { .. } if exits(task) > 0 => {
            Some(Note::Failed { slot, cause: crashes(task) })
        }
        Condition::Waiting { hold: Hold::InProgress { activity }, .. } if task.attempts > 0 => {
            Some(Note::Trying { slot, activity })
        }
        // It runs as it did, and cannot be changed as asked, or moved.
        _ => {
            let lacking = lack_beyond(facts, want, &task.spec);
            let hold = lacking.or_else(|| want.spot.hold_of_present())?;
            Some(Note::Waits { slot, hold })
        }
    }
}

fn services(facts: &Facts<'_>) -> BTreeMap<String, (u32, u32)> {
    let Some(desired) = facts.inputs.desired else { return BTreeMap::new() };
    let well = |name: &str| {
        let well = facts.slots_of(name).filter(|(slot, occupants)| {
            let reached = facts.out_of_reach(slot, occupants).is_none();
            is_complete(facts, slot)
                || (reached && occupants.all().any(|task| available_since(task).is_some()))
        });
        u32::try_from(well.count()).unwrap_or(u32::MAX)
    };
    desired
        .services
        .iter()
        .map(|(name, service)| {
            let wanted = match service.placement.mode.is_global() {
                true => u32::try_from(facts.wanted_of(name).len()).unwrap_or(u32::MAX),
                false => facts.replicas(name, service),
            };
            (name.clone(), (well(name).min(wanted), wanted))
        })
        .collect()
}

fn drift(inputs: &Inputs<'_>) -> u32 {
    let report = crate::drift::report(inputs, &crate::drift::Seen::new());
    u32::try_from(report.rows.iter().filter(|row| !row.fixed).count()).unwrap_or(u32::MAX)
}

impl std::fmt::Display for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}
