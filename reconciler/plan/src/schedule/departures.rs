//! Why a slot that has a task leaves the node that it is on, though the task runs.

use super::board::Board;
use super::leaving::leaves;
use super::needs::Needs;
use super::slots::{Present, present};
use super::{even, failing, filters};
use crate::occupants::Occupants;
use crate::ties::tie;
use crate::why::Refusal;
use keel_engine::{Goal, NetworkMode, ObservedTask, Slot};
use std::collections::BTreeMap;

/// What drives it away.
pub(super) fn why_it_leaves<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    slot: &Slot,
    present: &Present<'a>,
) -> Option<Refusal> {
    let host = &board.cluster.hosts[present.at];
    leaves(host, needs.service).or_else(|| {
        let task = present.task.filter(|_| host.known.is_some())?;
        let crowded = board.crowded.get(&task.id).cloned();
        crowded.or_else(|| {
            // What asks for more than before may have outgrown its node.
            let lacks = host.lacks(needs.reserved.minus(board.reserved_by(present)));
            let memory = (lacks.memory > 0).then_some(Refusal::Memory { short: lacks.memory });
            let cpus = (lacks.cpus > 0).then_some(Refusal::Cpus { short: lacks.cpus });
            memory.or(cpus).or_else(|| why_it_may_leave(board, needs, slot, (present.at, task)))
        })
    })
}

/// Slots that leave fuller nodes for emptier ones, where a person asked for that.
pub(super) fn uneven<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    names: &[String],
) -> BTreeMap<String, (u32, u32)> {
    if board.site.standing.rebalance.is_none() || !is_movable(board, needs) {
        return BTreeMap::new();
    }
    let positions = names.iter().filter_map(|name| {
        let slot = board.site.slot(needs.name, name);
        let present = present(&board.cluster, board.site, &slot)?;
        board.cluster.hosts[present.at].known?;
        let chosen = board.site.chosen(&slot).and_then(|node| board.cluster.at(node));
        let (is_leaving, slot) = (chosen.is_some_and(|at| at != present.at), name.clone());
        Some(even::Position { slot, at: present.at, is_leaving })
    });
    let has_room = |at: &&usize| !filters::is_full(needs, &board.cluster.hosts[**at], **at);
    let takers: Vec<usize> = needs.eligible.iter().filter(has_room).copied().collect();
    even::leaving(&takers, &positions.collect::<Vec<_>>())
}

/// Why a task that is still on another node left that.
pub(super) fn older<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    found: Option<&Occupants<'a>>,
    at: usize,
) -> Option<Option<Refusal>> {
    let mut tasks = found?.all();
    let (task, from) = tasks.find_map(|task| {
        let from = board.cluster.at(board.site.homes.get(&task.id)?)?;
        (from != at && task.goal != Goal::Removed).then_some((task, from))
    })?;
    let left = leaves(&board.cluster.hosts[from], needs.service);
    Some(left.or_else(|| board.crowded.get(&task.id).cloned()))
}

/// Why a slot that nothing binds to its node is better off elsewhere.
fn why_it_may_leave<'a>(
    board: &Board<'_, 'a>,
    needs: &Needs<'a>,
    slot: &Slot,
    present: (usize, &ObservedTask),
) -> Option<Refusal> {
    let chosen = || board.site.chosen(slot).and_then(|node| board.cluster.at(node));
    let because = failing::leaves(board.site, needs, slot, present, chosen)?;
    is_movable(board, needs).then_some(because)
}

/// Whether its tasks may be on one node as well as on another, as long as they run: so may those that share
/// their namespaces.
fn is_movable<'a>(board: &Board<'_, 'a>, needs: &Needs<'a>) -> bool {
    let mode = needs.service.placement.mode;
    let Some(desired) = board.site.desired else { return false };
    let joins = NetworkMode::Service(needs.name.to_owned());
    let mut joined = desired.services.values().filter(|other| other.spec.network_mode == joins);
    !mode.is_global()
        && !mode.is_job()
        && tie(desired, needs.service).is_none()
        && board.bound(needs).is_none()
        && joined.all(|other| tie(desired, other).is_none())
}
