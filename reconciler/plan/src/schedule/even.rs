//! Slots that leave fuller nodes for emptier ones, once a person asked for it.
//!
//! # Invariants
//! - Nothing moves for less than a difference of two tasks of a service between two nodes.
//! - What is on its way goes on: equal counts choose the same slots, those that have left first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A slot by now.
pub(super) struct Position {
    pub slot: String,
    pub at: usize,
    /// Its task has been told to go already, or another node was chosen for it.
    pub is_leaving: bool,
}

/// The slots that leave, each with how many tasks its node and the emptiest have now. `takers` are the nodes
/// that have room for more.
pub(super) fn leaving(takers: &[usize], all: &[Position]) -> BTreeMap<String, (u32, u32)> {
    let mut on: BTreeMap<usize, Vec<&Position>> = takers.iter().map(|at| (*at, vec![])).collect();
    for position in all {
        on.entry(position.at).or_default().push(position);
    }
    for there in on.values_mut() {
        // The last leaves first.
        there.sort_by_key(|one| (one.is_leaving, one.slot.len(), &one.slot));
    }
    let now: BTreeMap<usize, usize> = on.iter().map(|(at, there)| (*at, there.len())).collect();
    let least = takers.iter().map(|at| now[at]).min().unwrap_or(0);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (mut counts, mut leaving) = (now.clone(), BTreeMap::new());
    while let Some((from, to)) = step(takers, &counts) {
        let Some(position) = on.get_mut(&from).and_then(Vec::pop) else { break };
        leaving.insert(position.slot.clone(), (number(now[&from]), number(least)));
        *counts.entry(from).or_default() -= 1;
        *counts.entry(to).or_default() += 1;
    }
    leaving
}

/// From the fullest node to the emptiest, where one task more there is still fewer than here.
fn step(takers: &[usize], counts: &BTreeMap<usize, usize>) -> Option<(usize, usize)> {
    let (from, most) = counts.iter().max_by_key(|(at, count)| (**count, Reverse(**at)))?;
    let to = takers.iter().min_by_key(|at| (counts[*at], **at))?;
    (*most >= counts[to] + 2).then_some((*from, *to))
}
