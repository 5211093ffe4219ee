//! What is remembered of where tasks are.

use crate::facts::{Facts, Want, short};
use crate::verdict::{PlanEntry, Subject, Verdict};
use keel_engine::{Assignment, NodeName, Slot, TaskId, Wish};
use std::collections::{BTreeMap, BTreeSet};

/// Where each slot's task is or is sent to, the controller's own node apart: to be remembered, so that
/// whoever finds that node silent knows what may be there.
pub(crate) fn placed(facts: &Facts<'_>, entries: &[PlanEntry]) -> BTreeMap<String, NodeName> {
    let sent = |entry: &&PlanEntry| matches!(entry.verdict, Verdict::Act { .. });
    let there = |slot: &Slot| facts.slots.get(slot).is_some_and(|all| all.all().next().is_some());
    let slots = entries.iter().filter_map(|entry| match &entry.subject {
        Subject::Slot(slot) if sent(&entry) || there(slot) => {
            Some((short(slot), entry.node.clone()?))
        }
        // Also while what replaces it is not sent yet.
        Subject::Slot(slot) if facts.may_be_away(slot) => {
            Some((short(slot), facts.standing.placed.get(&short(slot))?.clone()))
        }
        _ => None,
    });
    slots.filter(|(_, node)| *node != facts.inputs.nodes.home).collect()
}

/// Tasks that are made now, by slot.
pub(crate) fn brought(facts: &Facts<'_>, entries: &[PlanEntry]) -> BTreeMap<String, TaskId> {
    let wishes = entries.iter().flat_map(|entry| match &entry.verdict {
        Verdict::Act { wishes, .. } => wishes.as_slice(),
        Verdict::Hold(_) => &[],
    });
    let tasks = wishes.filter_map(|wish| match &wish.what {
        Assignment::Task(task) => Some((short(task.place.slot()?), &task.id)),
        _ => None,
    });
    let new = tasks.filter(|(_, task)| facts.node_of(task).is_none());
    new.map(|(slot, task)| (slot, task.clone())).collect()
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

/// The node chosen for each slot, where there is a choice. A slot without a place keeps its earlier one, and
/// returns there if that is possible again.
pub(crate) fn chosen(facts: &Facts<'_>) -> BTreeMap<String, NodeName> {
    if !facts.has_choice() {
        return facts.standing.chosen.clone();
    }
    let wants = facts.slots.iter().filter_map(|(slot, all)| Some((slot, all.want.as_ref()?)));
    let node = |slot: &Slot, want: &Want<'_>| match want.spot.is_nowhere() {
        true => facts.standing.chosen.get(&short(slot)).cloned(),
        false => Some(want.node.clone()),
    };
    wants.filter_map(|(slot, want)| Some((short(slot), node(slot, want)?))).collect()
}
