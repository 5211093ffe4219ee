//! Which node a slot is on. Nothing is moved by this: what is somewhere stays there; what is new goes to
//! the controller's own node, unless something binds it to another.
//!
//! # Invariants
//! - A slot whose task is or was sent to a silent node stays there: nobody knows that it has ended.
//! - A node that the fleet has no longer has nothing, and what was there is placed anew.

use crate::Inputs;
use crate::desired::{Desired, DesiredService};
use crate::occupants::{Occupants, short, slot as slot_of};
use crate::standing::Standing;
use keel_engine::{
    Goal, MountSource, NetworkMode, NodeName, Nodes, PullPolicy, Slot, TaskId, TaskSpec,
};
use std::collections::BTreeMap;

/// What a place is chosen by.
pub(crate) struct Site<'s, 'a> {
    pub inputs: &'a Inputs<'a>,
    pub standing: &'a Standing,
    pub desired: Option<&'a Desired>,
    /// The nodes that have the stack's tasks.
    pub homes: &'s BTreeMap<&'a TaskId, &'a NodeName>,
    /// What was found in each slot so far.
    pub slots: &'s BTreeMap<Slot, Occupants<'a>>,
}

/// The node of a slot of this service.
pub(crate) fn place<'a>(
    site: &Site<'_, 'a>,
    slot: &Slot,
    service: &'a DesiredService,
) -> &'a NodeName {
    let nodes = site.inputs.nodes;
    joined(site, service)
        .or_else(|| of_tasks(site, slot))
        .or_else(|| remembered(site, slot))
        .or_else(|| of_data(nodes, &service.spec))
        .or_else(|| of_image(nodes, &service.spec))
        .unwrap_or(&nodes.home)
}

/// A network namespace is shared within a node. The loader refuses services that share in a circle.
fn joined<'a>(site: &Site<'_, 'a>, service: &DesiredService) -> Option<&'a NodeName> {
    let NetworkMode::Service(host) = &service.spec.network_mode else { return None };
    let of = site.desired?.services.get(host)?;
    if matches!(of.spec.network_mode, NetworkMode::Service(_)) {
        return None;
    }
    Some(place(site, &slot_of(site.inputs, host, 1), of))
}

/// Where the newest of its tasks is that is not going.
fn of_tasks<'a>(site: &Site<'_, 'a>, slot: &Slot) -> Option<&'a NodeName> {
    let mut tasks = site.slots.get(slot)?.all();
    tasks.find(|task| task.goal != Goal::Removed).and_then(|task| site.homes.get(&task.id).copied())
}

/// Where a task was sent that nobody has seen since, because its node is silent.
fn remembered<'a>(site: &Site<'_, 'a>, slot: &Slot) -> Option<&'a NodeName> {
    let node = site.standing.placed.get(&short(slot))?;
    site.inputs.nodes.reports.get_key_value(node).map(|(node, _)| node)
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
