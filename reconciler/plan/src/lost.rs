//! Nodes that are given up, and what becomes of the tasks on them.
//!
//! # Invariants
//! - Another task takes a lost one's slot only where two of them at a time do no harm: no data of its own is on its
//!   node, and it is not exclusive. Anything else waits for its node, or for a person's word.
//! - What was replaced is remembered by its slot, its node and a generation: once the node is back, generations
//!   decide, and never clocks.

use crate::Inputs;
use crate::condition::available_since;
use crate::desired::Desired;
use crate::occupants::{in_reach, short, slotted};
use crate::standing::{Replaced, Standing};
use crate::ties::tie;
use keel_engine::{Availability, Goal, NodeName, ObservedTask, Slot, TaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a node is silent for so long, or by a person's word, that what can run elsewhere does.
pub(crate) fn is_given_up(inputs: &Inputs<'_>, node: &NodeName) -> bool {
    let silent = inputs.nodes.silent(node);
    silent.is_some_and(|silent| silent.is_down || inputs.pool.facts(node).dead.is_some())
}

/// Whether a person said that its machine does not run any more.
pub(crate) fn is_dead(inputs: &Inputs<'_>, node: &NodeName) -> bool {
    inputs.nodes.silent(node).is_some() && inputs.pool.facts(node).dead.is_some()
}

/// What became of a stack's tasks on nodes that were silent.
#[derive(Default)]
pub(crate) struct Lost<'a> {
    /// Tasks that nothing is expected of.
    pub tasks: BTreeSet<&'a TaskId>,
    /// Where each slot's are, or were sent.
    pub slots: BTreeMap<String, BTreeSet<&'a NodeName>>,
    /// Tasks that were replaced while their node was down, and that are there again.
    pub returned: BTreeSet<&'a TaskId>,
    /// Those of them that are kept, since what replaced them is of no use yet.
    pub reclaimed: BTreeSet<&'a TaskId>,
}

impl<'a> Lost<'a> {
    pub fn look(inputs: &Inputs<'a>, standing: &Standing, desired: Option<&Desired>) -> Self {
        let mut lost = Self::default();
        let Some(desired) = desired.filter(|_| standing.removed.is_none()) else { return lost };
        // Where all nodes answer and none was given up before, nothing is lost.
        if standing.replaced.is_empty() && inputs.nodes.all_silent().next().is_none() {
            return lost;
        }
        let is_met = |node| !standing.replaced.is_empty() || is_given_up(inputs, node);
        let met = inputs.nodes.seen().filter(|(node, _)| is_met(node));
        let tasks =
            met.flat_map(|(node, seen)| seen.tasks_of(inputs.stack).map(move |of| (node, of)));
        for (node, (slot, task)) in tasks {
            let name = short(slot);
            let replaced = standing.replaced.get(&name).and_then(|nodes| nodes.get(node));
            let is_replaced = replaced.is_some_and(|one| task.generation <= one.generation);
            let is_silent = inputs.nodes.silent(node).is_some();
            if is_replaced && !is_silent {
                lost.returned.insert(&task.id);
            } else if is_replaced || is_lost(inputs, desired, &name, node) {
                lost.tasks.insert(&task.id);
                lost.slots.entry(name).or_default().insert(node);
            }
        }
        for (name, node) in &*standing.placed {
            let known = inputs.nodes.reports.get_key_value(node).map(|(node, _)| node);
            if let Some(node) = known.filter(|node| is_lost(inputs, desired, name, node)) {
                lost.slots.entry(name.clone()).or_default().insert(node);
            }
        }
        lost.reclaim(inputs, standing, desired);
        lost
    }

    /// A task that serves is not given up for one that does not yet.
    fn reclaim(&mut self, inputs: &Inputs<'a>, standing: &Standing, desired: &Desired) {
        if self.returned.is_empty() {
            return;
        }
        let mut slots: BTreeMap<&Slot, Vec<(&'a NodeName, &'a ObservedTask)>> = BTreeMap::new();
        for (node, task) in inputs.nodes.placed_tasks() {
            let own = task.place.slot().filter(|slot| slot.stack == *inputs.stack);
            if let Some(slot) = own.filter(|_| !self.tasks.contains(&task.id)) {
                slots.entry(slot).or_default().push((node, task));
            }
        }
        for (slot, tasks) in slots {
            let (back, others): (Vec<_>, Vec<_>) =
                tasks.into_iter().partition(|(_, task)| self.returned.contains(&task.id));
            let stays = others.iter().filter(|(_, task)| task.goal != Goal::Removed);
            let stays: Vec<_> = stays.collect();
            let is_of_use = |node: &NodeName, task: &ObservedTask| {
                inputs.nodes.silent(node).is_some() || available_since(task).is_some()
            };
            if stays.iter().any(|(node, task)| is_of_use(node, task)) {
                continue;
            }
            let may = |(node, task): &&(&'a NodeName, &'a ObservedTask)| {
                let active = inputs.pool.facts(node).availability != Availability::Drain;
                let name = short(slot);
                let replaced = standing.replaced.get(&name).and_then(|nodes| nodes.get(*node));
                let serves = serves_as_wanted(desired, slot, task);
                let for_good = replaced.is_some_and(|one| one.for_good);
                active && (stays.is_empty() || (serves && !for_good))
            };
            let serves = |task: &ObservedTask| available_since(task).is_some();
            let may_stay = back.iter().filter(may);
            let newest = may_stay.max_by_key(|(_, task)| (serves(task), task.generation));
            self.reclaimed.extend(newest.map(|(_, task)| &task.id));
        }
    }

    /// The place of a task among those of its slot: what is kept, what is as usual, what was replaced.
    pub fn rank(&self, task: &TaskId) -> u8 {
        match (self.reclaimed.contains(task), self.returned.contains(task)) {
            (true, _) => 2,
            (false, false) => 1,
            (false, true) => 0,
        }
    }
}

fn serves_as_wanted(desired: &Desired, slot: &Slot, task: &ObservedTask) -> bool {
    let service = desired.services.get(&slot.service);
    let fits = service.is_some_and(|service| in_reach(&task.spec, &slotted(service, slot)));
    fits && task.goal == Goal::Running && available_since(task).is_some()
}

/// Whether what is or was in a slot on this node is replaced elsewhere.
fn is_lost(inputs: &Inputs<'_>, desired: &Desired, slot: &str, node: &NodeName) -> bool {
    if !is_given_up(inputs, node) {
        return false;
    }
    let Some((name, number)) = slot.rsplit_once('.') else { return false };
    let Some(service) = desired.services.get(name) else { return false };
    let wanted = !service.placement.mode.is_global() && number.parse::<u32>().is_ok();
    wanted && (is_dead(inputs, node) || tie(desired, service).is_none())
}

/// What is to be remembered of tasks that were replaced: those of slots that are told something on another node
/// now, and those that may still come back.
pub(crate) fn replaced(
    inputs: &Inputs<'_>,
    standing: &Standing,
    lost: &Lost<'_>,
    acting: &BTreeSet<String>,
    generation: u64,
) -> BTreeMap<String, BTreeMap<NodeName, Replaced>> {
    let mut all = standing.replaced.clone();
    for (slot, nodes) in &mut all {
        nodes.retain(|node, replaced| may_come_back(inputs, slot, node, replaced.generation));
    }
    for (slot, nodes) in lost.slots.iter().filter(|(slot, _)| acting.contains(*slot)) {
        for node in nodes {
            let new = Replaced {
                generation: generation.saturating_sub(1),
                for_good: is_dead(inputs, node),
            };
            all.entry(slot.clone()).or_default().insert((*node).clone(), new);
        }
    }
    all.retain(|_, nodes| !nodes.is_empty());
    all
}

fn may_come_back(inputs: &Inputs<'_>, slot: &str, node: &NodeName, generation: u64) -> bool {
    if inputs.nodes.silent(node).is_some() {
        return true;
    }
    let there = inputs.nodes.known(node).into_iter().flat_map(|seen| seen.tasks_of(inputs.stack));
    there.into_iter().any(|(own, task)| {
        short(own) == slot && (task.generation <= generation || task.goal == Goal::Removed)
    })
}
