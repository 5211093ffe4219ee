//! The places of all slots of a stack, decided in one go.

use super::cluster::{Cluster, Reserved, salt};
use super::needs::Needs;
use super::ranking::Candidate;
use super::slots::{Present, leaves, names, no_longer, present};
use super::spot::{Fit, Spot};
use super::{crowded, filters, ranking};
use crate::condition::{exits, is_still};
use crate::lost::is_dead;
use crate::occupants::{Occupants, in_reach, short, slotted};
use crate::placing::Site;
use crate::ties::own_path;
use crate::why::{NodeRefusal, Refusal};
use keel_engine::{Goal, NetworkMode, Slot, TaskId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// So many failures on a node within [`LATELY`] send the next task elsewhere, if there is a choice.
const FAILURES: u32 = 5;
const LATELY: u64 = 5 * 60_000;

/// Where everything is.
pub(crate) struct Scheduled<'a> {
    /// Of every wanted slot.
    pub spots: BTreeMap<Slot, Spot<'a>>,
    /// Slots of global services that nodes have and should not, each with why.
    pub leaving: BTreeMap<Slot, Refusal>,
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
        Board { site, cluster, members, crowded, volumes: BTreeMap::new(), spots: BTreeMap::new() };
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
    board.mark_tight(&all);
    for (name, service) in joined {
        board.join(name, &service.spec.network_mode, site.replicas(name, service));
    }
    let leaving = all.iter().flat_map(|needs| no_longer(&board.cluster, site, needs)).collect();
    Scheduled { spots: board.spots, leaving, has_choice }
}

/// A slot that has to be given a place.
struct Open {
    /// Of which service.
    needs: usize,
    slot: Slot,
    /// The node that it leaves, and why.
    from: Option<(usize, Refusal)>,
}

struct Board<'s, 'a> {
    site: &'s Site<'s, 'a>,
    cluster: Cluster<'a>,
    members: Rc<BTreeSet<usize>>,
    /// Tasks that leave nodes which have less than is reserved.
    crowded: BTreeMap<&'a TaskId, Refusal>,
    /// Where volumes are, or will be.
    volumes: BTreeMap<&'a str, usize>,
    spots: BTreeMap<Slot, Spot<'a>>,
}

impl<'a> Board<'_, 'a> {
    /// Slots that stay where they are take their room there; the others are open.
    fn stay(&mut self, index: usize, needs: &mut Needs<'a>, open: &mut Vec<Open>) {
        for name in names(&self.cluster, self.site, needs) {
            let slot = self.site.slot(needs.name, &name);
            self.count_failures(needs, &slot);
            let present = present(&self.cluster, self.site, &slot);
            if self.site.standing.is_done(&short(&slot), needs.service) {
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
            match self.why_it_leaves(needs, &present) {
                None => self.keep(needs, slot, &present),
                Some(because) => {
                    let from = present.task.map(|_| (present.at, because));
                    open.push(Open { needs: index, slot, from });
                }
            }
        }
    }

    fn why_it_leaves(&self, needs: &Needs<'a>, present: &Present<'a>) -> Option<Refusal> {
        let host = &self.cluster.hosts[present.at];
        leaves(host, needs.service).or_else(|| {
            let task = present.task.filter(|_| host.known.is_some())?;
            let crowded = self.crowded.get(&task.id).cloned();
            crowded.or_else(|| {
                // What asks for more than before may have outgrown its node.
                let lacks = host.lacks(needs.reserved.minus(self.reserved_by(present)));
                let memory = (lacks.memory > 0).then_some(Refusal::Memory { short: lacks.memory });
                memory.or((lacks.cpus > 0).then_some(Refusal::Cpus { short: lacks.cpus }))
            })
        })
    }

    /// What a slot's present task has reserved already.
    fn reserved_by(&self, present: &Present<'a>) -> Reserved {
        let live = present.task.filter(|task| !is_still(task));
        live.map(|task| Reserved::of(&task.spec)).unwrap_or_default()
    }

    fn keep(&mut self, needs: &mut Needs<'a>, slot: Slot, present: &Present<'a>) {
        let more = needs.reserved.minus(self.reserved_by(present));
        let host = &mut self.cluster.hosts[present.at];
        let is_paused = host.facts.availability == keel_engine::Availability::Pause;
        match present.task.is_some_and(|task| !is_still(task)) {
            true => host.held = host.held.plus(more),
            false => host.add(more),
        }
        self.occupy(needs, present.at);
        let fit = match self.older(needs, &slot, present.at) {
            Some(because) => Fit::Moves(because),
            None if is_paused => Fit::Stuck(Refusal::Paused, Vec::new()),
            None => Fit::Well,
        };
        self.put(slot, present.at, fit);
    }

    /// Why a task that is still on another node left that.
    fn older(&self, needs: &Needs<'a>, slot: &Slot, at: usize) -> Option<Option<Refusal>> {
        let mut tasks = self.site.slots.get(slot)?.all();
        let (task, from) = tasks.find_map(|task| {
            let from = self.cluster.at(self.site.homes.get(&task.id)?)?;
            (from != at && task.goal != Goal::Removed).then_some((task, from))
        })?;
        let left = leaves(&self.cluster.hosts[from], needs.service);
        Some(left.or_else(|| self.crowded.get(&task.id).cloned()))
    }

    /// One of a service's tasks is here, with its ports and its data.
    fn occupy(&mut self, needs: &mut Needs<'a>, at: usize) {
        let host = &mut self.cluster.hosts[at];
        host.take(&needs.service.spec.ports, Some((needs.stack, needs.name)));
        needs.count(at);
        for volume in self.site.binding(&needs.service.spec) {
            self.volumes.entry(volume).or_insert(at);
        }
    }

    fn put(&mut self, slot: Slot, at: usize, fit: Fit) {
        self.spots.insert(slot, Spot::new(self.cluster.hosts[at].name, fit));
    }

    fn count_failures(&self, needs: &mut Needs<'a>, slot: &Slot) {
        let now = self.site.inputs.now;
        let tasks = self.site.slots.get(slot).into_iter().flat_map(Occupants::all);
        for task in tasks.filter(|task| exits(task) >= FAILURES) {
            let last = task.finished.or(task.started).unwrap_or(task.created);
            let lately = now < last.saturating_add(LATELY);
            let same = in_reach(&task.spec, &slotted(needs.service, slot));
            let at = self.site.homes.get(&task.id).and_then(|node| self.cluster.at(node));
            if let Some(at) = at.filter(|_| lately && same) {
                needs.failures[at] += exits(task);
            }
        }
    }

    /// The order in which services are given places: those with the least choice first, then the biggest.
    fn urgency(&self, needs: &Needs<'a>) -> (bool, bool, usize, Reverse<Reserved>) {
        let is_free = self.bound(needs).is_none();
        let is_global = needs.service.placement.mode.is_global();
        (!is_global, is_free, needs.eligible.len(), Reverse(needs.reserved))
    }

    /// The node that a service's data is on, with the volume.
    fn bound(&self, needs: &Needs<'a>) -> Option<(usize, &'a str)> {
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
    fn own_volume(&self, needs: &Needs<'a>, open: &Open) -> Option<(usize, &'a str)> {
        let before = open.from.as_ref().map(|(from, _)| *from);
        let chosen = || self.cluster.at(self.site.chosen(&open.slot)?);
        let at = before.or_else(chosen)?;
        let mut volumes = self.site.binding(&needs.service.spec);
        volumes.find(|volume| self.has_volume(at, volume)).map(|volume| (at, volume))
    }

    /// Gives an open slot its place.
    fn settle(&mut self, needs: &mut Needs<'a>, open: Open) {
        let choice = self.choice(needs, &open);
        let Some(at) = choice
            .bound
            .filter(|at| self.cluster.hosts[*at].known.is_none())
            .or_else(|| self.first(needs, &open, &choice))
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

    /// The nodes that come into question at all.
    fn choice(&self, needs: &Needs<'a>, open: &Open) -> Choice<'a> {
        if needs.service.placement.mode.is_global() {
            let own = self.cluster.at(&open.slot.slot.as_str().into());
            return Choice {
                among: Rc::new(own.into_iter().collect()),
                bound: own,
                elsewhere: None,
            };
        }
        let volume = self.own_volume(needs, open).or_else(|| self.bound(needs));
        let volume = volume.map(|(at, volume)| (at, Binding::Volume(volume)));
        let path = || {
            let path = own_path(&needs.service.spec)?;
            let chosen = self.site.chosen(&open.slot)?;
            let before = self.cluster.at(chosen).filter(|_| !is_dead(self.site.inputs, chosen))?;
            Some((open.from.as_ref().map_or(before, |(from, _)| *from), Binding::Path(path)))
        };
        let from = open
            .from
            .as_ref()
            .and_then(|(from, _)| Some((*from, Binding::Path(own_path(&needs.service.spec)?))));
        if let Some((at, binding)) = volume.or(from).or_else(path) {
            return Choice {
                among: Rc::new([at].into()),
                bound: Some(at),
                elsewhere: Some(binding),
            };
        }
        let there = needs.image.iter().flatten().copied().collect::<BTreeSet<_>>();
        let members = there.is_empty() || there.iter().any(|at| self.members.contains(at));
        let among = if members { self.members.clone() } else { Rc::new(there) };
        Choice { among, bound: None, elsewhere: None }
    }

    /// The first in order of those that nothing keeps it from.
    fn first(&self, needs: &Needs<'a>, open: &Open, choice: &Choice<'a>) -> Option<usize> {
        let left = open.from.as_ref().map(|(from, _)| *from);
        let may = |at: &usize| {
            let host = &self.cluster.hosts[*at];
            Some(*at) != left && needs.never[*at].is_empty() && !filters::is_full(needs, host, *at)
        };
        let chosen = self.site.chosen(&open.slot).and_then(|node| self.cluster.at(node));
        if let Some(at) = chosen.filter(|at| choice.among.contains(at) && may(at)) {
            return Some(at);
        }
        let number = salt(&format!("{}.{}", needs.name, open.slot.slot));
        let free = choice.among.iter().copied().filter(may);
        let free = free.map(|at| Candidate { at, host: &self.cluster.hosts[at] });
        let first = free.min_by(|one, other| ranking::order(needs, number, one, other));
        first.map(|first| first.at).or_else(|| self.only(needs, open, choice))
    }

    /// The only node there is takes it though something is in the way there, if that is told better when
    /// the task is started.
    fn only(&self, needs: &Needs<'a>, open: &Open, choice: &Choice<'a>) -> Option<usize> {
        let mut all = choice.among.iter().copied();
        let (at, None) = (all.next()?, all.next()) else { return None };
        let refusals = filters::refusals(needs, &self.cluster.hosts[at], at);
        let told = refusals.iter().all(Refusal::is_told_at_start);
        (open.from.is_none() && told).then_some(at)
    }

    fn no_place(&mut self, needs: &mut Needs<'a>, open: Open, choice: &Choice<'a>) {
        let nodes = self.why_not(needs, &open, choice);
        let Some((from, because)) = open.from else {
            let home = &self.site.inputs.nodes.home;
            let node = self.cluster.at(home).map_or(home, |at| self.cluster.hosts[at].name);
            self.spots.insert(open.slot, Spot::new(node, Fit::Nowhere(nodes)));
            return;
        };
        self.occupy(needs, from);
        self.put(open.slot, from, Fit::Stuck(because, nodes));
    }

    /// What keeps it from each node.
    fn why_not(&self, needs: &Needs<'a>, open: &Open, choice: &Choice<'a>) -> Vec<NodeRefusal> {
        let is_global = needs.service.placement.mode.is_global();
        let all = if is_global { &choice.among } else { &self.members };
        let all: BTreeSet<_> = all.union(&choice.among).copied().collect();
        let left = open.from.as_ref().map(|(from, _)| *from);
        let others = all.into_iter().filter(|at| Some(*at) != left);
        let refusal = |at: usize| {
            let host = &self.cluster.hosts[at];
            let mut because = filters::refusals(needs, host, at);
            because.extend(choice.elsewhere(&self.cluster, at));
            NodeRefusal { node: host.name.clone(), because }
        };
        others.map(refusal).collect()
    }

    /// Whether one more task of the service would fit beside the one that is there.
    fn mark_tight(&mut self, all: &[Needs<'a>]) {
        let reserving = all.iter().filter(|needs| needs.reserved != Reserved::default());
        let reserving: BTreeMap<&str, &Needs<'a>> =
            reserving.map(|needs| (needs.name, needs)).collect();
        if reserving.is_empty() {
            return;
        }
        for (slot, spot) in &mut self.spots {
            let Some(needs) = reserving.get(slot.service.as_str()) else { continue };
            let host = self.cluster.at(spot.node).map(|at| &self.cluster.hosts[at]);
            let lacks = host.map(|host| host.lacks(needs.reserved)).unwrap_or_default();
            spot.is_tight = lacks != Reserved::default();
        }
    }

    /// A network namespace is shared within a node.
    fn join(&mut self, name: &str, mode: &NetworkMode, replicas: u32) {
        let NetworkMode::Service(host) = mode else { return };
        let home = &self.site.inputs.nodes.home;
        let at_home = self.cluster.at(home).map_or(home, |at| self.cluster.hosts[at].name);
        let of = self.spots.get(&self.site.slot(host, "1")).map(|spot| spot.node);
        for number in 1..=replicas {
            let slot = self.site.slot(name, &number.to_string());
            let present = present(&self.cluster, self.site, &slot);
            let present = present.map(|present| self.cluster.hosts[present.at].name);
            self.spots.insert(slot, Spot::new(of.or(present).unwrap_or(at_home), Fit::Well));
        }
    }
}

/// The nodes that come into question for a slot.
struct Choice<'a> {
    among: Rc<BTreeSet<usize>>,
    /// It can be nowhere else.
    bound: Option<usize>,
    /// By what.
    elsewhere: Option<Binding<'a>>,
}

/// What binds a slot to a node.
enum Binding<'a> {
    Volume(&'a str),
    Path(&'a str),
}

impl Choice<'_> {
    /// What keeps it from all other nodes.
    fn elsewhere(&self, cluster: &Cluster<'_>, at: usize) -> Option<Refusal> {
        let bound = self.bound.filter(|bound| *bound != at)?;
        let node = cluster.hosts[bound].name.clone();
        Some(match self.elsewhere.as_ref()? {
            Binding::Volume(volume) => {
                Refusal::DataElsewhere { volume: (*volume).to_owned(), node }
            }
            Binding::Path(path) => Refusal::PathElsewhere { path: (*path).to_owned(), node },
        })
    }
}
