//! Which numbers the slots of a replicated service have.
//!
//! # Invariants
//! - Slots that are there keep their numbers; a new one takes the lowest that is free.
//! - Where there are more than are wanted, those go first that are of no use or whose nodes do not answer, then
//!   those that are only where they may not stay, then those that serve with another specification, then those on the nodes
//!   that have most of the service, then the highest numbers.

use super::cluster::Cluster;
use super::leaving::leaves;
use super::needs::Needs;
use crate::condition::available_since;
use crate::occupants::{Occupants, in_reach, slotted};
use crate::placing::Site;
use keel_engine::{NetworkMode, ObservedTask, Slot};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn numbers(
    cluster: &Cluster<'_>,
    site: &Site<'_, '_>,
    needs: &Needs<'_>,
) -> BTreeSet<u32> {
    let wanted = site.replicas(needs.name, needs.service);
    let mut numbers = if is_counted(site, needs) { BTreeSet::new() } else { there(site, needs) };
    let count = usize::try_from(wanted).unwrap_or(usize::MAX);
    if numbers.len() > count {
        return best(cluster, site, needs, numbers).into_iter().take(count).collect();
    }
    let mut free = 1..;
    while numbers.len() < count {
        let Some(number) = free.next() else { break };
        numbers.insert(number);
    }
    numbers
}

/// Whether its slots are the first so many, whatever is there: others share the namespace of the first, or
/// each number is a piece of work, or data passes from task to task of a slot.
fn is_counted(site: &Site<'_, '_>, needs: &Needs<'_>) -> bool {
    let service = needs.service;
    let joined = NetworkMode::Service(needs.name.to_owned());
    let mut services = site.desired.iter().flat_map(|desired| desired.services.values());
    service.placement.mode.is_job()
        || service.runs_before_deploy()
        || !service.spec.volumes.is_empty()
        || services.any(|other| other.spec.network_mode == joined)
}

/// The numbers of slots that have a task, or had one sent.
fn there(site: &Site<'_, '_>, needs: &Needs<'_>) -> BTreeSet<u32> {
    let first = site.slot(needs.name, "");
    let of_service = site.slots.range(first..);
    let of_service = of_service.take_while(|(slot, _)| slot.service == needs.name);
    let present = of_service.filter(|(slot, found)| site.task_of(slot, found).is_some());
    let mut numbers: BTreeSet<u32> = present.filter_map(|(slot, _)| number(&slot.slot)).collect();
    for (slot, node) in site.remembered_of(needs.name) {
        // Mostly its task is there, and says the same.
        let new = number(slot).filter(|number| !numbers.contains(number));
        numbers.extend(new.filter(|_| site.there_is(node).is_some()));
    }
    numbers
}

/// A number as slots have it: from one, and written without zeros before it.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok().filter(|number| *number > 0)?;
    (number.to_string() == text).then_some(number)
}

/// The same, with those that stay longest first.
fn best(
    cluster: &Cluster<'_>,
    site: &Site<'_, '_>,
    needs: &Needs<'_>,
    numbers: BTreeSet<u32>,
) -> Vec<u32> {
    let mut on: BTreeMap<_, u32> = BTreeMap::new();
    let judged = numbers.into_iter().map(|number| {
        let slot = site.slot(needs.name, &number.to_string());
        (judge(cluster, site, needs, &slot), number, slot)
    });
    let mut judged: Vec<_> = judged.collect();
    judged.sort();
    let mut ranked: Vec<_> = judged
        .into_iter()
        .map(|(faults, number, slot)| {
            let before = on.entry(site.task(&slot).map(|(_, node)| node)).or_default();
            *before += 1;
            (faults, *before, number)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(.., number)| number).collect()
}

/// What speaks against a slot, worst first: it is of no use now; it serves only where it may not stay; what serves is
/// of another specification than the wanted; nothing is of that.
fn judge(cluster: &Cluster<'_>, site: &Site<'_, '_>, needs: &Needs<'_>, slot: &Slot) -> [bool; 4] {
    let tasks = || site.slots.get(slot).into_iter().flat_map(Occupants::all);
    let want = slotted(needs.service, slot);
    let host = |task: &ObservedTask| Some(&cluster.hosts[cluster.at(site.homes.get(&task.id)?)?]);
    let serving = || {
        let available = tasks().filter(|task| available_since(task).is_some());
        let hosts = available.filter_map(|task| Some((task, host(task)?)));
        hosts.filter(|(_, host)| host.known.is_some())
    };
    let stays = |host| leaves(host, needs.service).is_none();
    let is_wanted = |task: &ObservedTask| in_reach(&task.spec, &want);
    [
        serving().next().is_none(),
        !serving().any(|(_, host)| stays(host)),
        !serving().any(|(task, _)| is_wanted(task)),
        !tasks().any(is_wanted),
    ]
}
