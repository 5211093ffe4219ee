//! What is remembered of where tasks are.

use crate::facts::{Facts, short};
use crate::verdict::{Entry, Subject, Verdict};
use keel_engine::{NodeName, Slot};
use std::collections::BTreeMap;

/// Where each slot's task is or is sent to, the controller's own node apart: to be remembered, so that
/// whoever finds that node silent knows what may be there.
pub(crate) fn placed(facts: &Facts<'_>, entries: &[Entry]) -> BTreeMap<String, NodeName> {
    let sent = |entry: &&Entry| matches!(entry.verdict, Verdict::Act { .. });
    let there = |slot: &Slot| facts.slots.get(slot).is_some_and(|all| all.all().next().is_some());
    let stays = |slot: &Slot| {
        let node = facts.standing.placed.get(&short(slot));
        node.is_some_and(|node| facts.inputs.nodes.silent(node).is_some())
    };
    let slots = entries.iter().filter_map(|entry| match &entry.subject {
        Subject::Slot(slot) if sent(&entry) || there(slot) || stays(slot) => {
            Some((short(slot), entry.node.clone()?))
        }
        _ => None,
    });
    slots.filter(|(_, node)| *node != facts.inputs.nodes.home).collect()
}
