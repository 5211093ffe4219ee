//! Decides what one pass will do to a stack. Only decides: the pass sends it.
//!
//! # Invariants
//! - Everything here is pure: no clock, file, network or randomness. Time and facts are values.
//! - Every slot that is desired or observed gets exactly one [`verdict::Verdict`].
//! - A plan is never edited once returned. Did something change? The next pass makes another.
//! - Order is by name, so equal inputs print equal plans.
//! - A rollout is no procedure: each plan decides anew from the tasks that are observed. What
//!   must be remembered is in [`standing`], and comes back changed in [`Plan::standing`].
//!
//! # Where to look
//! [`lower`]: a loaded stack to what is desired. `facts`: the situation, in order. `memory`: what
//! is new since the last pass (failures, jobs, pins). `condition`: how one task is. `judge`: the
//! verdict for a slot; `schedule`: the node that a slot is on; `placing`: what binds it to one; `pace`: how fast slots
//! are replaced; `motion`: which slots are next, and how many; `rollout`: which of a slot's tasks goes first; `waits`: what
//! has to be there first; `resources`: images, networks, volumes. [`why`]: what reasons and holds are made of; [`text`]:
//! their words. [`strays`]: what nodes bring along; [`retention`]: what may go for want of room. [`invariants`]: the
//! checker. [`lines`]: what differs between two desired states.
//!
//! # Not here
//! Fetching, storing, sending (the reconciler), doing (the nodes), printing (the command line).

pub mod desired;
pub mod drift;
pub mod invariants;
pub mod lines;
pub mod lower;
pub mod pace;
pub mod placement;
pub mod pool;
pub mod retention;
pub mod standing;
pub mod status;
pub mod strays;
pub mod text;
pub mod verdict;
pub mod why;

mod ages;
mod apart;
mod asks;
mod condition;
mod draft;
mod facts;
mod hopeless;
mod inputs;
mod judge;
mod look;
mod lost;
mod machine;
mod memory;
mod motion;
mod occupants;
mod ordered;
mod placed;
mod placing;
mod reach;
mod repair;
mod resources;
mod rollout;
mod schedule;
mod subject;
mod taken_ports;
mod ties;
mod untouched;
mod waits;
mod wish;

pub use inputs::{Asked, Inputs};
pub use placed::Move;

use desired::{Desired, Owner};
use draft::Draft;
use facts::Facts;
use keel_engine::fields::{Applier, Change, Field, row_of};
use keel_engine::{Assignment, Digest, NodeName};
use look::Look;
use memory::Memory;
use pace::FailureAction;
use standing::Standing;
use std::cell::OnceCell;
use std::sync::Arc;
use verdict::{Action, Hold, Plan, PlanEntry, Reason, Subject, Verdict};
use why::Holder;

/// Compares what the revision asks for with what the node reports.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let nodes = ages::by_our_clock(inputs.nodes, inputs.now);
    planned_by_our_clock(&Inputs { nodes: &nodes, ..inputs.clone() })
}

fn planned_by_our_clock(inputs: &Inputs<'_>) -> Plan {
    if let Some(owner) = other_owner(inputs) {
        return held_whole(
            &with_pin(inputs),
            &Hold::OwnedBy { holder: Holder::Owner(owner.clone()) },
        );
    }
    let inputs = &with_pin(inputs);
    if inputs.asked.people_only {
        return of_people(inputs);
    }
    let (mut memory, mut look) = (Memory::of(inputs), Look::at(inputs));
    let (kept, opened, standing, mut heard) =
        (memory.standing.clone(), OnceCell::new(), OnceCell::new(), None);
    if let Some(desired) = inputs.desired {
        look.places = Some(look.places(inputs, &kept, Some(desired)));
        memory.open(inputs, &look, desired);
    }
    let opened = memory.since(&kept, &opened);
    if let Some(desired) = inputs.desired {
        let facts = Facts::after(&look, inputs, opened, Some(desired));
        memory.hear(&facts, desired);
        heard = Some(facts);
    }
    let standing = memory.since(opened, &standing);
    // Nothing was heard, mostly: then everything is as it was found.
    let same = heard.filter(|facts| facts.is_of(standing, planned(inputs, standing)));
    let facts =
        same.unwrap_or_else(|| Facts::after(&look, inputs, standing, planned(inputs, standing)));
    let mut draft = Draft::new(next_generation(&facts));
    match standing.removed.filter(|_| has_things(&facts)) {
        Some(removal) => {
            resources::removed_tasks(&facts, &mut draft, removal.volumes);
            resources::removal(&facts, &mut draft, removal.volumes);
        }
        // A stack that `down` took away is held off as a whole while its source still names it.
        None if standing.removed.is_some() && standing.suspended.is_none() => {}
        None => {
            if standing.suspended.is_none() {
                resources::all(&facts, &mut draft);
            }
            judge::slots(&facts, &mut draft);
        }
    }
    finish(&facts, draft, &mut memory)
}

/// What of a stack does not reach across the nodes that it is or would be on.
#[must_use]
pub fn out_of_reach(inputs: &Inputs<'_>) -> Vec<status::Note> {
    if inputs.nodes.reports.len() < 2 {
        return vec![];
    }
    let inputs = &with_pin(inputs);
    apart::apart(&Facts::new(inputs, inputs.standing, planned(inputs, inputs.standing)))
}

/// What would move, if a person asked now for an even spread over the nodes.
#[must_use]
pub fn rebalanced(inputs: &Inputs<'_>) -> Vec<Move> {
    let inputs = &with_pin(inputs);
    let mut standing = inputs.standing.clone();
    standing.rebalance = Some(standing::Rebalance { by: String::new(), since: inputs.now });
    placed::moves(&Facts::new(inputs, &standing, planned(inputs, &standing)))
}

/// What was asked of single tasks, and nothing else: what is remembered of rollouts stays as it is.
fn of_people(inputs: &Inputs<'_>) -> Plan {
    let mut memory = Memory { standing: inputs.standing.clone(), learned: Vec::new() };
    let facts = Facts::new(inputs, inputs.standing, planned(inputs, inputs.standing));
    let mut draft = Draft::new(next_generation(&facts));
    judge::asked_slots(&facts, &mut draft);
    finish(&facts, draft, &mut memory)
}

/// What a person came back to stands for what the source says.
pub(crate) fn with_pin<'a>(inputs: &Inputs<'a>) -> Inputs<'a> {
    let pinned = inputs.standing.pinned.as_deref().map(|pinned| &pinned.desired);
    Inputs { desired: inputs.desired.and(pinned).or(inputs.desired), ..inputs.clone() }
}

/// What is planned towards: the revision, unless it is known bad, another one was good, and the
/// policy lets that one come back.
pub(crate) fn planned<'a>(inputs: &Inputs<'a>, standing: &'a Standing) -> Option<&'a Desired> {
    let desired = inputs.desired?;
    let comes_back = standing.failure_action(desired) == FailureAction::Rollback;
    let good = standing.good_desired.as_deref().filter(|_| comes_back);
    match standing.bad.contains_key(&desired.hash) {
        true => Some(good.filter(|good| good.hash != desired.hash).unwrap_or(desired)),
        false => Some(desired),
    }
}

fn other_owner<'a>(inputs: &Inputs<'a>) -> Option<&'a Owner> {
    let (owner, desired) = (inputs.owner?, inputs.desired?);
    (*owner != desired.owner && !inputs.asked.take_over).then_some(owner)
}

/// Every slot gets the same hold, and the memory stays as it is.
fn held_whole(inputs: &Inputs<'_>, why: &Hold) -> Plan {
    let facts = Facts::new(inputs, inputs.standing, inputs.desired);
    let held = |subject, node: Option<&NodeName>| PlanEntry {
        subject,
        node: node.cloned(),
        verdict: Verdict::Hold(why.clone()),
    };
    let slots = facts.slots.keys();
    let mut entries: Vec<PlanEntry> =
        slots.map(|slot| held(Subject::Slot(slot.clone()), facts.place(slot))).collect();
    if entries.is_empty() {
        entries.push(held(Subject::Stack(inputs.stack.clone()), None));
    }
    made(inputs, entries, Memory { standing: inputs.standing.clone(), learned: Vec::new() }, None)
}

/// One more than anything of the stack has seen, so that a lost record lowers nothing.
fn next_generation(facts: &Facts<'_>) -> u64 {
    let seen = facts.tasks().map(|(_, task)| task.generation).max().unwrap_or(0);
    facts.standing.generation.max(seen).saturating_add(1)
}

/// Whether anything of the stack is still there that goes with it.
fn has_things(facts: &Facts<'_>) -> bool {
    let nodes = facts.inputs.nodes;
    let volumes = facts.standing.removed.is_some_and(|removal| removal.volumes);
    facts.tasks().next().is_some()
        || facts.slots.keys().any(|slot| facts.may_be_away(slot))
        || nodes.all_networks().any(|(_, network)| facts.owns(&network.spec.labels))
        || (volumes && nodes.all_volumes().any(|(_, volume)| facts.owns_volume(volume)))
}

/// Writes down what the verdicts change in the stack's memory.
fn finish(facts: &Facts<'_>, draft: Draft, memory: &mut Memory) -> Plan {
    let (generation, wake, prunes) = (draft.generation, draft.next, draft.prunes_once_good);
    let standing = &mut memory.standing;
    for (service, task) in &draft.jobs {
        let of = facts.desired.map(|desired| desired.hash).unwrap_or(Digest::of(b""));
        standing.jobs.insert(service.clone(), standing::Job { task: task.clone(), of });
    }
    asks::settle(facts, &draft, &mut standing.asks);
    for (node, reference) in &draft.pulled {
        let now = facts.now();
        let pull = standing::Pull { at: now, since: now, beyond: None };
        let pulls = standing.pulls.entry(node.clone()).or_default();
        pulls.entry(reference.clone()).or_insert(pull).at = now.max(1);
    }
    let entries = draft.entries();
    standing.changed.extend(entries.iter().filter_map(|entry| changed_in_place(facts, entry)));
    if entries.iter().any(assigns_a_task) {
        standing.generation = generation;
    }
    if facts.since.is_some() {
        let brought = placed::brought(facts, &entries);
        if !brought.is_empty() {
            Arc::make_mut(&mut standing.brought).extend(brought);
        }
    }
    let whole = !facts.inputs.asked.people_only;
    if whole {
        standing.placed = Arc::new(placed::placed(facts, &entries));
        standing.chosen = placed::chosen(facts);
        if !(facts.lost.slots.is_empty() && standing.replaced.is_empty()) {
            let acting = placed::acting(&entries);
            standing.replaced =
                lost::replaced(facts.inputs, facts.standing, &facts.lost, &acting, generation);
        }
        standing.fled = placed::fled(facts);
        standing.rebalance = standing.rebalance.take().filter(|_| placed::is_moving(facts));
    }
    if whole && standing.removed.is_none() && standing.suspended.is_none() {
        memory.settle(facts, &entries);
    }
    let memory = Memory {
        standing: std::mem::take(&mut memory.standing),
        learned: std::mem::take(&mut memory.learned),
    };
    let ends = scale_ends(&memory.standing);
    let gives_up = hopeless::deadline(facts).filter(|at| *at > facts.now());
    let settled = memory.learned.iter().any(|l| matches!(l, verdict::Learned::Settled { .. }));
    let wake = if prunes && settled { Some(facts.now()) } else { wake };
    let wake = wake.into_iter().chain(ends).chain(gives_up).min();
    made(facts.inputs, entries, memory, wake)
}

/// When the first of the numbers that people set counts no longer.
fn scale_ends(standing: &Standing) -> Option<u64> {
    let holds = standing.scaled.values().filter(|_| standing.removed.is_none());
    holds.filter_map(|scale| scale.until).min()
}

/// A slot whose task is changed in place so that its health may suffer.
fn changed_in_place(facts: &Facts<'_>, entry: &PlanEntry) -> Option<(String, standing::Changed)> {
    let (Subject::Slot(slot), Verdict::Act { action: Action::Update, reason, .. }) =
        (&entry.subject, &entry.verdict)
    else {
        return None;
    };
    let Reason::Changed { differences } = reason else { return None };
    let tells = |field| {
        let change = row_of(field).change;
        field == Field::Healthcheck || matches!(change, Change::InPlace(Applier::Limit(_)))
    };
    let task = facts.slots.get(slot)?.current?;
    let changed = standing::Changed { task: task.id.clone(), at: facts.now() };
    differences
        .iter()
        .any(|(difference, _)| tells(difference.field))
        .then(|| (facts::short(slot), changed))
}

fn assigns_a_task(entry: &PlanEntry) -> bool {
    let Verdict::Act { wishes, .. } = &entry.verdict else { return false };
    wishes.iter().any(|wish| matches!(wish.what, Assignment::Task(_)))
}

fn made(inputs: &Inputs<'_>, entries: Vec<PlanEntry>, memory: Memory, wake: Option<u64>) -> Plan {
    Plan {
        stack: inputs.stack.clone(),
        revision: inputs.desired.map(|desired| desired.revision.clone()).unwrap_or_default(),
        generation: inputs.standing.generation,
        entries,
        standing: memory.standing,
        learned: memory.learned,
        wake,
    }
}
