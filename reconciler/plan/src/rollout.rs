//! How a slot moves: which of its two tasks goes first.

use crate::desired::Order;
use crate::facts::{Facts, Want};
use crate::waits;
use crate::why::SoleUse;
use keel_engine::{MountSource, NetworkMode, TaskSpec};

/// The order of a replacement. As the file says; unset, start-first only where that is safe and
/// of use. What two tasks cannot have at a time forces stop-first.
pub(crate) fn order(facts: &Facts<'_>, want: &Want<'_>) -> Order {
    let service = want.service;
    if service.placement.mode.is_job() || sole(facts, want).is_some() {
        return Order::StopFirst;
    }
    let written = written(facts, want);
    if want.spot.is_moving() {
        return written.unwrap_or(Order::StartFirst);
    }
    let useful = facts.has_check(service) && !service.spec.ports.is_empty();
    written.unwrap_or(if useful { Order::StartFirst } else { Order::StopFirst })
}

/// Why its old task is stopped first, though its file says that the new one starts first.
pub(crate) fn forced(facts: &Facts<'_>, want: &Want<'_>) -> Option<SoleUse> {
    sole(facts, want).filter(|_| written(facts, want) == Some(Order::StartFirst))
}

fn written(facts: &Facts<'_>, want: &Want<'_>) -> Option<Order> {
    let service = want.service;
    if facts.comes_back() { service.rollback_order } else { service.order }
}

/// What two of its tasks cannot have at a time. Data of its own has one writer.
fn sole(facts: &Facts<'_>, want: &Want<'_>) -> Option<SoleUse> {
    let (name, spec) = (want.name, &want.service.spec);
    let fixed = spec.networks.iter().any(|attachment| !attachment.addresses.is_empty());
    let has_port = || waits::port_of_our_own(facts, want.node, name, spec).is_some();
    let anonymous = spec.volumes.iter().any(|mount| mount.source == MountSource::Anonymous);
    let is_tight = want.spot.is_tight && !want.spot.is_moving();
    let uses = [
        (want.service.placement.exclusive, SoleUse::Exclusive),
        (facts.has_own_data(spec) || anonymous, SoleUse::Data),
        (fixed, SoleUse::Address),
        (is_tight, SoleUse::Room),
        (spec.network_mode == NetworkMode::Host, SoleUse::HostNetwork),
        (facts.is_joined(name), SoleUse::Namespace),
    ];
    let found = uses.into_iter().find_map(|(is_so, of)| is_so.then_some(of));
    found.or_else(|| has_port().then_some(SoleUse::Port))
}

/// Whether it has volumes that pass from task to task: those that nobody named.
pub(crate) fn passes_on(facts: &Facts<'_>, spec: &TaskSpec) -> bool {
    let declared = facts.image(&spec.image).map_or(&[][..], |image| &image.volumes);
    let anonymous = spec.volumes.iter().any(|mount| mount.source == MountSource::Anonymous);
    anonymous || !spec.uncovered(declared).is_empty()
}
