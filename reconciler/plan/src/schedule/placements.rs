//! The places of all slots of a stack, decided in one go.

use super::board::{Board, Open};
use super::choice::Choice;
use super::cluster::{Cluster, Reserved};
use super::needs::Needs;
use super::slots::{Present, names, no_longer, present, present_of};
use super::spot::{Fit, Spot};
use super::{choice, crowded, departures, failing};
use crate::condition::is_still;
use crate::occupants::{Occupants, short};
use crate::ordered;
use crate::placing::Site;
use crate::why::{NodeRefusal, Refusal};
use keel_engine::{NetworkMode, Slot};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Slots, each with its place.
type Spots<'a> = BTreeMap<Slot, Spot<'a>>;

/// Where everything is.
pub(crate) struct Scheduled<'a> {
    /// Of every wanted slot.
    pub spots: Spots<'a>,
    /// Slots of global services that nodes have and should not, each with why.
    pub leaving: BTreeMap<Slot, Refusal>,
    /// Global services that run nowhere, each with what keeps it from the nodes.
    pub nowhere: BTreeMap<String, Vec<NodeRefusal>>,
    /// Whether there was a choice of nodes at all.
    pub has_choice: bool,
}

/// Every wanted slot of the stack, with its place.
pub(crate) fn schedule<'a>(site: &Site<'_, 'a>) -> Scheduled<'a> {
    let cluster = Cluster::look(site.inputs, site.lost);
    let members = Rc::new(cluster.members());
    let has_choice = members.len() > 1;
    let crowded = crowded::leaving(&cluster);
    let mut board =
        Board { site, cluster, members, crowded, volumes: BTreeMap::new(), spots: Vec::new() };
    let (joined, free): (Vec<_>, Vec<_>) = site
        .desired
        .iter()
        .flat_map(|desired| &desired.services)
        .partition(|(_, service)| matches!(service.spec.network_mode, NetworkMode::Service(_)));
    let mut all: Vec<_> = free
        .into_iter()
        .map(|(name, service)| {
            let service = (name.as_str(), service);
            Needs::look(&board.cluster, site.inputs.nodes, site.inputs.stack, service)
        })
        .collect();
    let mut open = Vec::new();
    for (index, needs) in all.iter_mut().enumerate() {
        board.stay(index, needs, &mut open);
    }
    let urgency: Vec<_> = all.iter().map(|needs| board.urgency(needs)).collect();
    open.sort_by_cached_key(|open| {
        let number = (open.slot.slot.len(), open.slot.slot.clone());
        (urgency[open.needs], all[open.needs].name, number)
    });
    for open in open {
        board.settle(&mut all[open.needs], open);
    }
    let mut spots = ordered::by_slot(std::mem::take(&mut board.spots));
    board.mark_tight(&mut spots, &all);
    for (name, service) in joined {
        board.join(&mut spots, name, &service.spec.network_mode, site.replicas(name, service));
    }
    let leaving = all.iter().flat_map(|needs| no_longer(&board.cluster, site, needs)).collect();
    let nowhere = choice::nowhere(&board, &all);
    Scheduled { spots, leaving, nowhere, has_choice }
}

impl<'a> Board<'_, 'a> {
    /// Slots that stay where they are take their room there; the others are open.
    fn stay(&mut self, index: usize, needs: &mut Needs<'a>, open: &mut Vec<Open>) {
        let names = names(&self.cluster, self.site, needs);
        let uneven = departures::uneven(self, needs, &names);
        for name in names {
            let slot = self.site.slot(needs.name, &name);
            let found = self.site.slots.get(&slot);
            self.count_failures(needs, &slot, found);
            let present = present_of(&self.cluster, self.site, &slot, found);
            let is_job = needs.service.placement.mode.is_job();
            if is_job && self.site.standing.is_done(&short(&slot), needs.service) {
                let at = present.map(|present| present.at).or(self.cluster.at(&self
                    .site
                    .inputs
                    .nodes
                    .home));
                at.into_iter().for_each(|at| self.put(slot.clone(), at, Fit::Well));
                continue;
            }
            let Some(present) = present else {
                open.push(Open { needs: index, slot, from: None });
                continue;
            };
            let uneven = uneven.get(&name).copied();
            let uneven = uneven.map(|(tasks, least)| Refusal::Uneven { tasks, least });
            match departures::why_it_leaves(self, needs, &slot, &present).or(uneven) {
                None => self.keep(needs, slot, &present, found),
                Some(because) => {
                    let from = present.task.map(|_| (present.at, because));
                    open.push(Open { needs: index, slot, from });
                }
            }
        }
    }

    fn keep(
        &mut self,
        needs: &mut Needs<'a>,
        slot: Slot,
        present: &Present<'a>,
        found: Option<&Occupants<'a>>,
    ) {
        let more = needs.reserved.minus(self.reserved_by(present));
        let host = &mut self.cluster.hosts[present.at];
        let is_paused = host.facts.availability == keel_engine::Availability::Pause;
        match present.task.is_some_and(|task| !is_still(task)) {
            true => host.held = host.held.plus(more),
            false => host.add(more),
        }
        self.occupy(needs, present.at);
        let fit = match departures::older(self, needs, found, present.at) {
            Some(because) => Fit::Moves(because),
            None if is_paused => Fit::Stuck(Refusal::Paused, Vec::new()),
            None => Fit::Well,
        };
        self.put(slot, present.at, fit);
    }

    fn count_failures(&self, needs: &mut Needs<'a>, slot: &Slot, found: Option<&Occupants<'a>>) {
        let tasks = found.into_iter().flat_map(Occupants::all);
        for task in tasks {
            let Some(times) = failing::failures(self.site, needs, slot, task) else { continue };
            let at = self.site.homes.get(&task.id).and_then(|node| self.cluster.at(node));
            if let Some(at) = at {
                needs.failures[at] += times;
            }
        }
    }

    /// The order in which services are given places: those with the least choice first, then the biggest.
    fn urgency(&self, needs: &Needs<'a>) -> (bool, bool, usize, Reverse<Reserved>) {
        let is_free = self.bound(needs).is_none();
        let is_global = needs.service.placement.mode.is_global();
        (!is_global, is_free, needs.eligible.len(), Reverse(needs.reserved))
    }

    /// Gives an open slot its place.
    fn settle(&mut self, needs: &mut Needs<'a>, open: Open) {
        let choice = choice::choice(self, needs, &open);
        let Some(at) = choice
            .bound
            .filter(|at| self.cluster.hosts[*at].known.is_none())
            .or_else(|| choice::first(self, needs, &open, &choice))
        else {
            return self.no_place(needs, open, &choice);
        };
        let fit = match &open.from {
            Some((from, because)) if *from != at => Fit::Moves(Some(because.clone())),
            _ => Fit::Well,
        };
        self.cluster.hosts[at].add(needs.reserved);
        self.occupy(needs, at);
        self.put(open.slot, at, fit);
    }

    fn no_place(&mut self, needs: &mut Needs<'a>, open: Open, choice: &Choice<'a>) {
        let nodes = choice::why_not(self, needs, &open, choice);
        let Some((from, because)) = open.from else {
            let home = &self.site.inputs.nodes.home;
            let node = self.cluster.at(home).map_or(home, |at| self.cluster.hosts[at].name);
            let is_hopeless = choice::is_hopeless(self, needs);
            let spot = Spot { is_hopeless, ..Spot::new(node, Fit::Nowhere(nodes)) };
            self.spots.push((open.slot, spot));
            return;
        };
        self.occupy(needs, from);
        self.put(open.slot, from, Fit::Stuck(because, nodes));
    }

    /// Whether one more task of the service would fit beside the one that is there.
    fn mark_tight(&self, spots: &mut Spots<'a>, all: &[Needs<'a>]) {
        let reserving = all.iter().filter(|needs| needs.reserved != Reserved::default());
        let reserving: BTreeMap<&str, &Needs<'a>> =
            reserving.map(|needs| (needs.name, needs)).collect();
        if reserving.is_empty() {
            return;
        }
        for (slot, spot) in spots {
            let Some(needs) = reserving.get(slot.service.as_str()) else { continue };
            let host = self.cluster.at(spot.node).map(|at| &self.cluster.hosts[at]);
            let lacks = host.map(|host| host.lacks(needs.reserved)).unwrap_or_default();
            spot.is_tight = lacks != Reserved::default();
        }
    }

    /// A network namespace is shared within a node.
    fn join(&self, spots: &mut Spots<'a>, name: &str, mode: &NetworkMode, replicas: u32) {
        let NetworkMode::Service(host) = mode else { return };
        let home = &self.site.inputs.nodes.home;
        let at_home = self.cluster.at(home).map_or(home, |at| self.cluster.hosts[at].name);
        let of = spots.get(&self.site.slot(host, "1")).map(|spot| spot.node);
        for number in 1..=replicas {
            let slot = self.site.slot(name, &number.to_string());
            let present = present(&self.cluster, self.site, &slot);
            let present = present.map(|present| self.cluster.hosts[present.at].name);
            spots.insert(slot, Spot::new(of.or(present).unwrap_or(at_home), Fit::Well));
        }
    }
}
