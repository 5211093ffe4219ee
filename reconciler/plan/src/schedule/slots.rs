//! The slots of a service.

use super::cluster::Cluster;
use super::leaving::leaves;
use super::needs::Needs;
use super::numbers::numbers;
use crate::lost::is_given_up;
use crate::occupants::{Occupants, short};
use crate::placing::Site;
use crate::why::Refusal;
use keel_engine::{ObservedTask, Slot};

/// A slot's place by now: its node, and the task that is there.
pub(crate) struct Present<'a> {
    pub at: usize,
    pub task: Option<&'a ObservedTask>,
}

/// Where a slot is by now.
pub(crate) fn present<'a>(
    cluster: &Cluster<'a>,
    site: &Site<'_, 'a>,
    slot: &Slot,
) -> Option<Present<'a>> {
    present_of(cluster, site, slot, site.slots.get(slot))
}

/// The same, with what was found in it.
pub(crate) fn present_of<'a>(
    cluster: &Cluster<'a>,
    site: &Site<'_, 'a>,
    slot: &Slot,
    found: Option<&Occupants<'a>>,
) -> Option<Present<'a>> {
    let task = found.and_then(|found| site.task_of(slot, found));
    let node = task.map(|(_, node)| node).or_else(|| site.remembered(slot))?;
    Some(Present { at: cluster.at(node)?, task: task.map(|(task, _)| task) })
}

/// The names of a service's slots: numbers, or the nodes that run one.
pub(crate) fn names(cluster: &Cluster<'_>, site: &Site<'_, '_>, needs: &Needs<'_>) -> Vec<String> {
    if !needs.service.placement.mode.is_global() {
        return numbers(cluster, site, needs)
            .into_iter()
            .map(|number| number.to_string())
            .collect();
    }
    let hosts = cluster.hosts.iter().enumerate().filter(|(_, host)| host.is_member);
    // Those of nodes that are given up are not counted.
    let there = hosts.filter(|(_, host)| !is_given_up(site.inputs, host.name));
    let wanted = there.filter(|(at, host)| {
        let slot = site.slot(needs.name, host.name.as_str());
        let present = present(cluster, site, &slot).is_some();
        needs.never[*at].is_empty()
            || (present && leaves(host, needs.service).is_none())
            || (host.known.is_none() && site.standing.is_done(&short(&slot), needs.service))
    });
    wanted.map(|(_, host)| host.name.to_string()).collect()
}

/// Slots of a global service that nodes have and should not, each with why.
pub(crate) fn no_longer(
    cluster: &Cluster<'_>,
    site: &Site<'_, '_>,
    needs: &Needs<'_>,
) -> Vec<(Slot, Refusal)> {
    if !needs.service.placement.mode.is_global() {
        return Vec::new();
    }
    let left = cluster.hosts.iter().filter_map(|host| {
        let slot = site.slot(needs.name, host.name.as_str());
        present(cluster, site, &slot)?;
        let because = (!host.is_member).then_some(Refusal::NotMember);
        Some((slot, because.or_else(|| leaves(host, needs.service))?))
    });
    left.collect()
}
