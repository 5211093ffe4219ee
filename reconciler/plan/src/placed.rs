//! What is remembered of where tasks are.

use crate::facts::{Facts, Occupants, Want, short};
use crate::schedule::failing::is_over;
use crate::verdict::{PlanEntry, Subject, Verdict};
use crate::why::Refusal;
use keel_engine::{Assignment, Goal, NodeName, ObservedTask, Phase, Slot, TaskId, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where each slot's task is or is sent to, the controller's own node apart: to be remembered, so that
/// whoever finds that node silent knows what may be there.
pub(crate) fn placed(facts: &Facts<'_>, entries: &[PlanEntry]) -> BTreeMap<String, NodeName> {
    let slots = entries.iter().filter_map(|entry| {
        let Subject::Slot(slot) = &entry.subject else { return None };
        let (name, to) = (short(slot), entry.node.as_ref());
        let is_sent = matches!(entry.verdict, Verdict::Act { .. });
        let there = facts.slots.get(slot);
        let node = match there.and_then(|all| left(facts, all, to)) {
            // Until nothing runs where it comes from, that is what a lost sight of it must not make two of.
            Some(left) => left,
            // Also while what replaces it is not sent yet, or is there and does not run.
            None if !is_sent && facts.may_be_away(slot) => facts.standing.placed.get(&name)?,
            None => {
                to.filter(|_| is_sent || there.is_some_and(|all| all.all().next().is_some()))?
            }
        };
        Some((name, node.clone()))
    });
    let known = slots.filter(|(_, node)| *node != facts.inputs.nodes.home);
    // A slot that is not wanted now may be wanted again before its node answers.
    let nodes = facts.inputs.nodes;
    let silent = facts.standing.placed.iter().filter(|(_, node)| nodes.silent(node).is_some());
    let unseen = silent.map(|(slot, node)| (slot.clone(), node.clone()));
    let of_slot = |entry: &PlanEntry| match &entry.subject {
        Subject::Slot(slot) => Some(short(slot)),
        _ => None,
    };
    let told: BTreeSet<_> = entries.iter().filter_map(of_slot).collect();
    let mut placed: BTreeMap<_, _> = unseen.filter(|(slot, _)| !told.contains(slot)).collect();
    placed.extend(known);
    placed
}

/// The node that a slot leaves and where a task of it still runs, the controller's own apart; or will run after the
/// next start of its machine.
fn left<'f>(
    facts: &'f Facts<'_>,
    all: &Occupants<'_>,
    to: Option<&NodeName>,
) -> Option<&'f NodeName> {
    let home = &facts.inputs.nodes.home;
    let may_run = |task: &ObservedTask| {
        let runs = matches!(task.phase, Phase::Running | Phase::Backoff | Phase::Draining);
        runs || task.goal == Goal::Running
    };
    let running = all.all().filter(|task| may_run(task));
    let mut nodes = running.filter_map(|task| facts.node_of(&task.id));
    nodes.find(|node| *node != home && Some(*node) != to)
}

/// Tasks that are made or started for the first time now, by slot.
pub(crate) fn brought(facts: &Facts<'_>, entries: &[PlanEntry]) -> BTreeMap<String, TaskId> {
    let wishes = entries.iter().flat_map(|entry| match &entry.verdict {
        Verdict::Act { wishes, .. } => wishes.as_slice(),
        Verdict::Hold(_) => &[],
    });
    let tasks = wishes.filter_map(|wish| match &wish.what {
        Assignment::Task(task) if task.goal <= Goal::Running => {
            Some((task.place.slot()?, &task.id))
        }
        _ => None,
    });
    let has_run = |(slot, id): &(&Slot, &TaskId)| {
        let known = facts.slots.get(*slot).and_then(|all| all.all().find(|task| task.id == **id));
        known.map_or(facts.node_of(id).is_some(), |task| task.started.is_some())
    };
    let new = tasks.filter(|task| !has_run(task));
    new.map(|(slot, task)| (short(slot), task.clone())).collect()
}

/// Slots with a task that is told something.
pub(crate) fn acting(entries: &[PlanEntry]) -> BTreeSet<String> {
    let told = |wishes: &[Wish]| wishes.iter().any(|one| matches!(one.what, Assignment::Task(_)));
    let acting = entries.iter().filter_map(|entry| match (&entry.subject, &entry.verdict) {
        (Subject::Slot(slot), Verdict::Act { wishes, .. }) if told(wishes) => Some(short(slot)),
        _ => None,
    });
    acting.collect()
}

/// Slots that leave a node where they failed, from now on; and those that did a short while ago.
pub(crate) fn fled(facts: &Facts<'_>) -> BTreeMap<String, u64> {
    let (mut fled, now) = (facts.standing.fled.clone(), facts.now());
    fled.retain(|_, at| !is_over(*at, now));
    let wants = facts.slots.iter().filter_map(|(slot, all)| Some((slot, all.want.as_ref()?)));
    let leaves = |want: &Want<'_>| matches!(want.spot.moved(), Some(Refusal::Failing { .. }));
    for (slot, _) in wants.filter(|(_, want)| leaves(want)) {
        fled.entry(short(slot)).or_insert(now);
    }
    fled
}

/// Whether a slot is on its way to another node.
pub(crate) fn is_moving(facts: &Facts<'_>) -> bool {
    facts.slots.values().any(|all| all.want.as_ref().is_some_and(|want| want.spot.is_moving()))
}

/// A slot that leaves its node for a more even spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub slot: Slot,
    /// The node that it leaves.
    pub from: NodeName,
    /// The node that it goes to.
    pub to: NodeName,
    /// Why.
    pub because: Refusal,
}

/// The slots that would leave their nodes, if a person asked for an even spread.
pub(crate) fn moves(facts: &Facts<'_>) -> Vec<Move> {
    let wants = facts.slots.iter().filter_map(|(slot, all)| Some((slot, all, all.want.as_ref()?)));
    let moves = wants.filter_map(|(slot, all, want)| {
        let because = want.spot.moved().filter(|why| matches!(why, Refusal::Uneven { .. }))?;
        let from = facts.node_of(&all.rest.first()?.id)?.clone();
        Some(Move { slot: slot.clone(), from, to: want.node.clone(), because: because.clone() })
    });
    moves.collect()
}

/// The node chosen for each slot, where there is a choice. A slot without a place keeps its earlier one, and
/// returns there if that is possible again.
pub(crate) fn chosen(facts: &Facts<'_>) -> Arc<BTreeMap<String, NodeName>> {
    if !facts.has_choice() {
        return facts.standing.chosen.clone();
    }
    let wants = facts.slots.iter().filter_map(|(slot, all)| Some((slot, all.want.as_ref()?)));
    let node = |slot: &Slot, want: &Want<'_>| match want.spot.is_nowhere() {
        true => facts.standing.chosen.get(&short(slot)).cloned(),
        false => Some(want.node.clone()),
    };
    Arc::new(wants.filter_map(|(slot, want)| Some((short(slot), node(slot, want)?))).collect())
}
