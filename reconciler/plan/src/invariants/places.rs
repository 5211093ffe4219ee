//! Whether new tasks are only where they may be, by other means than those of the scheduler: from the
//! plan's wishes, node by node.

use crate::Inputs;
use crate::condition::is_still;
use crate::desired::{Desired, DesiredService};
use crate::verdict::Plan;
use keel_engine::Availability;
use keel_engine::{
    Assignment, HostFacts, NodeName, ObservedTask, Slot, StackName, TaskAssignment, TaskId,
};
use keel_names::constraint::NodeAttributes;
use std::collections::{BTreeMap, BTreeSet};

/// New tasks with their nodes.
struct New<'a> {
    node: &'a NodeName,
    task: &'a TaskAssignment,
    slot: &'a Slot,
}

/// Every invariant of places that the plan breaks.
pub(super) fn broken(
    inputs: &Inputs<'_>,
    plan: &Plan,
    is_known: impl Fn(&TaskId) -> bool,
) -> Vec<String> {
    let new: Vec<_> = plan.wishes().filter_map(new).filter(|new| !is_known(&new.task.id)).collect();
    [allowed(inputs, &new), room(inputs, &new), crowds(inputs, &new)].concat()
}

fn new(wish: &keel_engine::Wish) -> Option<New<'_>> {
    let Assignment::Task(task) = &wish.what else { return None };
    let (node, slot) = (&wish.node, task.place.slot()?);
    Some(New { node, task, slot })
}

/// What is planned towards asks for it: the revision, or what was good before.
fn service<'a>(inputs: &Inputs<'a>, new: &New<'_>) -> Option<&'a DesiredService> {
    let good = inputs.standing.good_desired.as_deref();
    let all = inputs.desired.into_iter().chain(good);
    let mut services = all.filter_map(|desired: &Desired| desired.services.get(&new.slot.service));
    services.find(|service| service.spec.image == new.task.spec.image)
}

/// No new task is on a node that takes none, or that is not what its service asks for.
fn allowed(inputs: &Inputs<'_>, new: &[New<'_>]) -> Vec<String> {
    let takes_none = |node: &NodeName| inputs.pool.facts(node).availability != Availability::Active;
    let closed = new.iter().filter(|new| takes_none(new.node));
    let closed =
        closed.map(|new| format!("{} starts on {}, which takes nothing", new.slot, new.node));
    let strange = new.iter().filter(|new| {
        let service = service(inputs, new);
        let shared = |service: &DesiredService| {
            matches!(service.spec.network_mode, keel_engine::NetworkMode::Service(_))
        };
        service.is_some_and(|service| !shared(service) && !suits(inputs, new.node, service))
    });
    let strange = strange.map(|new| format!("{} may not be on {}", new.slot, new.node));
    closed.chain(strange).collect()
}

fn suits(inputs: &Inputs<'_>, node: &NodeName, service: &DesiredService) -> bool {
    let facts = inputs.pool.facts(node);
    let Some(host) = inputs.nodes.known(node).map(|seen| &seen.host) else { return false };
    let HostFacts { hostname, os, architecture, addresses, labels, .. } = host.as_ref();
    let attributes = NodeAttributes {
        id: &facts.id,
        hostname,
        role: facts.role.word(),
        addresses,
        os,
        architecture,
        labels: &facts.labels,
        engine_labels: labels,
    };
    service
        .placement
        .constraints
        .iter()
        .all(|constraint| constraint.holds(&attributes) == Some(true))
}

/// On a node that gets new tasks which reserve memory, all together have it.
fn room(inputs: &Inputs<'_>, new: &[New<'_>]) -> Vec<String> {
    let asked = |task: &TaskAssignment| task.spec.reserved_memory.unwrap_or(0);
    // One after the other, a task and the one before it share what one of them needs.
    let replaced: BTreeSet<_> = new.iter().filter_map(|new| new.task.replaces.as_ref()).collect();
    let mut mine: BTreeMap<&NodeName, u64> = BTreeMap::new();
    for new in new {
        *mine.entry(new.node).or_default() += asked(new.task);
    }
    let over = inputs.nodes.all_known().filter_map(|(node, seen)| {
        let room = inputs.pool.room(node, &inputs.nodes.home, &seen.host).memory?;
        let there = |task: &&ObservedTask| !is_still(task) && !replaced.contains(&task.id);
        let held = seen.all_tasks().filter(there).filter_map(|task| task.spec.reserved_memory);
        let mine = mine.get(node).copied().unwrap_or(0);
        let held: u64 = held.sum();
        (mine > 0 && held + mine > room).then(|| format!("{node} has no room for its new tasks"))
    });
    over.collect()
}

/// No node gets more of a service than that allows, what is replaced apart.
fn crowds(inputs: &Inputs<'_>, new: &[New<'_>]) -> Vec<String> {
    let crowded = new.iter().filter(|one| {
        let max = service(inputs, one).and_then(|service| service.placement.max_per_node);
        let Some(max) = max else { return false };
        let same = |slot: &Slot| slot.service == one.slot.service && slot.stack == one.slot.stack;
        let mut slots: Vec<&Slot> = tasks(inputs, one.node, &one.slot.stack);
        slots.extend(new.iter().filter(|other| other.node == one.node).map(|other| other.slot));
        slots.retain(|slot| same(slot));
        slots.sort();
        slots.dedup();
        slots.len() > max as usize
    });
    crowded.map(|one| format!("{} has too many of {}", one.node, one.slot.service)).collect()
}

/// The slots whose tasks are wanted on a node.
fn tasks<'t>(inputs: &Inputs<'t>, node: &NodeName, stack: &'t StackName) -> Vec<&'t Slot> {
    let seen = inputs.nodes.known(node).into_iter();
    let tasks = seen.flat_map(|seen| seen.tasks_of(stack));
    tasks.filter(|(_, task)| task.goal < keel_engine::Goal::Stopped).map(|(slot, _)| slot).collect()
}
