//! Which node a slot is on. Nothing is moved by this: what is somewhere stays there; what is new goes to
//! the controller's own node, unless something binds it to another.
//!
//! # Invariants
//! - A slot whose task is or was sent to a silent node stays there: nobody knows that it has ended.
//! - A node that the fleet has no longer has nothing, and what was there is placed anew.

use crate::desired::DesiredService;
use crate::facts::{Facts, Occupants, short, slot as slot_of};
use crate::verdict::{Entry, Subject, Verdict};
use keel_engine::{Goal, MountSource, NetworkMode, NodeName, Nodes, PullPolicy, Slot, TaskSpec};
use std::collections::BTreeMap;

/// The node of a slot of this service, with what was found in each slot so far.
pub(crate) fn place<'a>(
    facts: &Facts<'a>,
    slots: &BTreeMap<Slot, Occupants<'a>>,
    slot: &Slot,
    service: &'a DesiredService,
) -> &'a NodeName {
    let nodes = facts.inputs.nodes;
    joined(facts, slots, service)
        .or_else(|| of_tasks(facts, slots, slot))
        .or_else(|| remembered(facts, slot))
        .or_else(|| of_data(nodes, &service.spec))
        .or_else(|| of_image(nodes, &service.spec))
        .unwrap_or(&nodes.home)
}

/// A network namespace is shared within a node. The loader refuses services that share in a circle.
fn joined<'a>(
    facts: &Facts<'a>,
    slots: &BTreeMap<Slot, Occupants<'a>>,
    service: &DesiredService,
) -> Option<&'a NodeName> {
    let NetworkMode::Service(host) = &service.spec.network_mode else { return None };
    let of = facts.desired?.services.get(host)?;
    if matches!(of.spec.network_mode, NetworkMode::Service(_)) {
        return None;
    }
    Some(place(facts, slots, &slot_of(facts.inputs, host, 1), of))
}

/// Where the newest of its tasks is that is not going.
fn of_tasks<'a>(
    facts: &Facts<'a>,
    slots: &BTreeMap<Slot, Occupants<'a>>,
    slot: &Slot,
) -> Option<&'a NodeName> {
    let mut tasks = slots.get(slot)?.all();
    tasks.find(|task| task.goal != Goal::Removed).and_then(|task| facts.node_of(&task.id))
}

/// Where a task was sent that nobody has seen since, because its node is silent.
fn remembered<'a>(facts: &Facts<'a>, slot: &Slot) -> Option<&'a NodeName> {
    let node = facts.standing.placed.get(&short(slot))?;
    facts.inputs.nodes.reports.get_key_value(node).map(|(node, _)| node)
}

/// Where its volumes are: data does not move.
fn of_data<'a>(nodes: &'a Nodes, spec: &TaskSpec) -> Option<&'a NodeName> {
    let named = spec.volumes.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name),
        _ => None,
    });
    named.filter_map(|name| nodes.volume(name)).map(|(node, _)| node).next()
}

/// Where its image is, if that is the only place and no registry will give it to another: it was built or
/// loaded there.
fn of_image<'a>(nodes: &'a Nodes, spec: &TaskSpec) -> Option<&'a NodeName> {
    let images = || nodes.all_images().filter(|(_, image)| image.reference == spec.image);
    let at_home = images().find(|(node, _)| **node == nodes.home).map(|(_, image)| image);
    let failure = at_home.and_then(|image| image.failure.as_ref());
    let refused = failure.is_some_and(|failure| !failure.kind.may_pass());
    let lacking = at_home.is_none_or(|image| image.digest.is_none());
    if !lacking || !(refused || spec.pull_policy == PullPolicy::Never) {
        return None;
    }
    images().find(|(_, image)| image.digest.is_some()).map(|(node, _)| node)
}

/// Where each slot's task is or is sent to, the controller's own node apart: to be remembered, so that
/// whoever finds that node silent knows what may be there.
pub(crate) fn placed(facts: &Facts<'_>, entries: &[Entry]) -> BTreeMap<String, NodeName> {
    let sent = |entry: &&Entry| matches!(entry.verdict, Verdict::Act { .. });
    let there = |slot: &Slot| facts.slots.get(slot).is_some_and(|all| all.all().next().is_some());
    let stays = |slot: &Slot| {
        let node = facts.standing.placed.get(&short(slot));
        node.is_some_and(|node| facts.inputs.nodes.silent(node).is_some())
    };
    let slots = entries.iter().filter_map(|entry| match &entry.subject {
        Subject::Slot(slot) if sent(&entry) || there(slot) || stays(slot) => {
            Some((short(slot), entry.node.clone()?))
        }
        _ => None,
    });
    slots.filter(|(_, node)| *node != facts.inputs.nodes.home).collect()
}
