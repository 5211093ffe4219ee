//! What is placed so far: what the nodes have given, where data is, and each slot's spot.

use super::cluster::{Cluster, Reserved};
use super::needs::Needs;
use super::slots::Present;
use super::spot::{Fit, Spot};
use crate::condition::is_still;
use crate::lost::is_dead;
use crate::placing::Site;
use crate::why::Refusal;
use keel_engine::{Slot, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A slot that has to be given a place.
pub(super) struct Open {
    /// Of which service.
    pub needs: usize,
    pub slot: Slot,
    /// The node that it leaves, and why.
    pub from: Option<(usize, Refusal)>,
}

/// The cluster while slots are placed on it.
pub(super) struct Board<'s, 'a> {
    pub site: &'s Site<'s, 'a>,
    pub cluster: Cluster<'a>,
    pub members: Rc<BTreeSet<usize>>,
    /// Tasks that leave nodes which have less than is reserved.
    pub crowded: BTreeMap<&'a TaskId, Refusal>,
    /// Where volumes are, or will be.
    pub volumes: BTreeMap<&'a str, usize>,
    pub spots: Vec<(Slot, Spot<'a>)>,
}

impl<'a> Board<'_, 'a> {
    /// One of a service's tasks is here, with its ports and its data.
    pub fn occupy(&mut self, needs: &mut Needs<'a>, at: usize) {
        let host = &mut self.cluster.hosts[at];
        host.take(&needs.service.spec.ports, Some((needs.stack, needs.name)));
        needs.count(at);
        for volume in self.site.binding(&needs.service.spec) {
            self.volumes.entry(volume).or_insert(at);
        }
    }

    pub fn put(&mut self, slot: Slot, at: usize, fit: Fit) {
        self.spots.push((slot, Spot::new(self.cluster.hosts[at].name, fit)));
    }

    /// What a slot's present task has reserved already.
    pub fn reserved_by(&self, present: &Present<'a>) -> Reserved {
        let live = present.task.filter(|task| !is_still(task));
        live.map(|task| Reserved::of(&task.spec)).unwrap_or_default()
    }

    /// The node that a service's data is on, with the volume.
    pub fn bound(&self, needs: &Needs<'a>) -> Option<(usize, &'a str)> {
        let mut volumes = self.site.binding(&needs.service.spec);
        volumes.find_map(|volume| {
            let at = self.volume_is_at(volume);
            Some((at.or_else(|| self.volumes.get(volume).copied())?, volume))
        })
    }

    /// Where a volume is: what is on a machine that does not run any more is not there.
    fn volume_is_at(&self, volume: &str) -> Option<usize> {
        let nodes = self.site.inputs.nodes;
        let has = nodes.all_volumes().filter(|(_, one)| one.spec.name == volume);
        let alive = has.filter(|(node, _)| !is_dead(self.site.inputs, node));
        let first = alive.min_by_key(|(node, _)| **node != nodes.home);
        first.and_then(|(node, _)| self.cluster.at(node))
    }

    /// Whether a volume is on a node.
    fn has_volume(&self, at: usize, volume: &str) -> bool {
        let known = self.cluster.hosts[at].known;
        known.is_some_and(|seen| seen.volume(volume).is_some())
    }

    /// The data that a slot had, where other nodes have volumes of the same name.
    pub fn own_volume(&self, needs: &Needs<'a>, open: &Open) -> Option<(usize, &'a str)> {
        let before = open.from.as_ref().map(|(from, _)| *from);
        let chosen = || self.cluster.at(self.site.chosen(&open.slot)?);
        let at = before.or_else(chosen)?;
        let mut volumes = self.site.binding(&needs.service.spec);
        volumes.find(|volume| self.has_volume(at, volume)).map(|volume| (at, volume))
    }
}
