//! How a service's slots move: which of two tasks of a slot goes first, and which slot is next.

use crate::condition::Condition;
use crate::desired::Order;
use crate::facts::{Facts, Occupants, Want, short};
use keel_engine::{Goal, MountSource, NetworkMode, Slot, TaskSpec};

/// The order of a replacement. As the file says; unset, start-first only where that is safe and
/// of use. Data of its own forces stop-first: it has one writer.
pub(crate) fn order(facts: &Facts<'_>, want: &Want<'_>) -> Order {
    let (service, spec) = (want.service, &want.service.spec);
    let exclusive = want.service.placement.exclusive;
    if exclusive || facts.has_own_data(spec) || holds_alone(facts, want) {
        return Order::StopFirst;
    }
    if service.placement.mode.is_job() {
        return Order::StopFirst;
    }
    if want.spot.is_moving() {
        return service.order.unwrap_or(Order::StartFirst);
    }
    let useful = facts.has_check(service) && !spec.ports.is_empty();
    service.order.unwrap_or(if useful { Order::StartFirst } else { Order::StopFirst })
}

/// Whether it has volumes that pass from task to task: those that nobody named.
pub(crate) fn passes_on(facts: &Facts<'_>, spec: &TaskSpec) -> bool {
    let declared = facts.image(&spec.image).map_or(&[][..], |image| &image.volumes);
    let anonymous = spec.volumes.iter().any(|mount| mount.source == MountSource::Anonymous);
    anonymous || !spec.uncovered(declared).is_empty()
}

/// Whether it has what two tasks cannot hold at a time.
fn holds_alone(facts: &Facts<'_>, want: &Want<'_>) -> bool {
    let (name, spec) = (want.name, &want.service.spec);
    let fixed = spec.networks.iter().any(|attachment| !attachment.addresses.is_empty());
    let port_moves = crate::waits::port_of_our_own(facts, want.node, name, spec).is_some();
    let is_tight = want.spot.is_tight && !want.spot.is_moving();
    fixed
        || is_tight
        || spec.volumes.iter().any(|mount| mount.source == MountSource::Anonymous)
        || port_moves
        || spec.network_mode == NetworkMode::Host
        || facts.is_joined(name)
}

/// Whether a slot is under way: two tasks in it, a new one that has not settled, or an old one
/// that goes so that its successor can come.
pub(crate) fn in_motion(facts: &Facts<'_>, slot: &Slot, occupants: &Occupants<'_>) -> bool {
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

/// The slot of a service that is under way, if one is: the others wait for it. One that holds two
/// tasks is, whatever else was stopped and may come back.
pub(crate) fn moving<'f>(facts: &'f Facts<'_>, service: &str) -> Option<&'f Slot> {
    let moving = facts.slots_of(service).filter(|(slot, all)| in_motion(facts, slot, all));
    moving.min_by_key(|(_, occupants)| occupants.all().count() < 2).map(|(slot, _)| slot)
}
