//! The nodes that come into question for a slot, the one that takes it, and what keeps it from the others.

use super::board::{Board, Open};
use super::cluster::{Cluster, salt};
use super::needs::Needs;
use super::ranking::Candidate;
use super::{filters, ranking};
use crate::lost::is_dead;
use crate::ties::own_path;
use crate::why::{NodeRefusal, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The nodes that come into question for a slot.
pub(super) struct Choice<'a> {
    among: Rc<BTreeSet<usize>>,
    /// It can be nowhere else.
    pub bound: Option<usize>,
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

/// The nodes that come into question at all.
pub(super) fn choice<'a>(board: &Board<'_, 'a>, needs: &Needs<'a>, open: &Open) -> Choice<'a> {
    if needs.service.placement.mode.is_global() {
        let own = board.cluster.at(&open.slot.slot.as_str().into());
        return Choice { among: Rc::new(own.into_iter().collect()), bound: own, elsewhere: None };
    }
    let volume = board.own_volume(needs, open).or_else(|| board.bound(needs));
    let volume = volume.map(|(at, volume)| (at, Binding::Volume(volume)));
    let path = || {
        let path = own_path(&needs.service.spec)?;
        let chosen = board.site.chosen(&open.slot)?;
        let before = board.cluster.at(chosen).filter(|_| !is_dead(board.site.inputs, chosen))?;
        Some((open.from.as_ref().map_or(before, |(from, _)| *from), Binding::Path(path)))
    };
    let from = open
        .from
        .as_ref()
        .and_then(|(from, _)| Some((*from, Binding::Path(own_path(&needs.service.spec)?))));
    if let Some((at, binding)) = volume.or(from).or_else(path) {
        return Choice { among: Rc::new([at].into()), bound: Some(at), elsewhere: Some(binding) };
    }
    let there = needs.image.iter().flatten().copied().collect::<BTreeSet<_>>();
    let members = there.is_empty() || there.iter().any(|at| board.members.contains(at));
    let among = if members { board.members.clone() } else { Rc::new(there) };
    Choice { among, bound: None, elsewhere: None }
}

/// The first in order of those that nothing keeps it from.
pub(super) fn first<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    open: &Open,
    choice: &Choice<'a>,
) -> Option<usize> {
    let left = open.from.as_ref().map(|(from, _)| *from);
    let evens = open.from.as_ref().filter(|(_, why)| matches!(why, Refusal::Uneven { .. }));
    let evens = evens.map(|(from, _)| *from);
    let may = |at: &usize| {
        let host = &board.cluster.hosts[*at];
        Some(*at) != left
            && needs.never[*at].is_empty()
            && !filters::is_full(needs, host, *at)
            && evens.is_none_or(|from| needs.on[*at] < needs.on[from])
    };
    let chosen = board.site.chosen(&open.slot).and_then(|node| board.cluster.at(node));
    if let Some(at) = chosen.filter(|at| choice.among.contains(at) && may(at)) {
        return Some(at);
    }
    let number = salt(&format!("{}.{}", needs.name, open.slot.slot));
    let free = choice.among.iter().copied().filter(may);
    let free = free.map(|at| Candidate { at, host: &board.cluster.hosts[at] });
    let first = free.min_by(|one, other| ranking::order(needs, number, one, other));
    first.map(|first| first.at).or_else(|| only(board, needs, open, choice))
}

/// The only node there is takes it though something is in the way there, if that is told better when
/// the task is started.
fn only<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    open: &Open,
    choice: &Choice<'a>,
) -> Option<usize> {
    let mut all = choice.among.iter().copied();
    let (at, None) = (all.next()?, all.next()) else { return None };
    let refusals = filters::refusals(needs, &board.cluster.hosts[at], at);
    let told = refusals.iter().all(Refusal::is_told_at_start);
    (open.from.is_none() && told).then_some(at)
}

/// What keeps it from each node.
pub(super) fn why_not<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    open: &Open,
    choice: &Choice<'a>,
) -> Vec<NodeRefusal> {
    let is_global = needs.service.placement.mode.is_global();
    let all = if is_global { &choice.among } else { &board.members };
    let all: BTreeSet<_> = all.union(&choice.among).copied().collect();
    let left = open.from.as_ref().map(|(from, _)| *from);
    let others = all.into_iter().filter(|at| Some(*at) != left);
    let refusal = |at: usize| {
        let host = &board.cluster.hosts[at];
        let mut because = filters::refusals(needs, host, at);
        because.extend(choice.elsewhere(&board.cluster, at));
        NodeRefusal { node: host.name.clone(), because }
    };
    others.map(refusal).collect()
}

/// Whether no node of the pool would take the service's tasks, were it empty.
pub(super) fn is_hopeless<'a>(board: &Board<'_, 'a>, needs: &Needs<'a>) -> bool {
    board.members.iter().all(|at| needs.is_beyond(&board.cluster.hosts[*at], *at))
}

/// Global services that no node may run.
pub(super) fn nowhere<'a>(
    board: &Board<'_, 'a>,
    all: &[Needs<'a>],
) -> BTreeMap<String, Vec<NodeRefusal>> {
    let global = all.iter().filter(|needs| needs.service.placement.mode.is_global());
    let idle = global.filter(|needs| needs.on.iter().all(|count| *count == 0));
    let refusal = |needs: &Needs<'a>, at: usize| NodeRefusal {
        node: board.cluster.hosts[at].name.clone(),
        because: needs.never[at].clone(),
    };
    let none = idle.filter(|needs| !board.members.iter().any(|at| needs.never[*at].is_empty()));
    none.map(|needs| {
        let nodes = board.members.iter().map(|at| refusal(needs, *at)).collect();
        (needs.name.to_owned(), nodes)
    })
    .collect()
}
