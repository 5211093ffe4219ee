//! Which of several nodes takes a task: an order that is the same for equal inputs, on every machine.

use super::cluster::Host;
use super::needs::Needs;
use std::cmp::Ordering;

/// A node that could take a task.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'h, 'a> {
    pub at: usize,
    pub host: &'h Host<'a>,
}

/// The first in order takes the task. Each part decides only where those before it are equal: failures of
/// the service on the node; its tasks in the node's branch, level by level; its tasks on the node; what is
/// left of the scarcer of CPU time and memory; tasks on the node; and a number of both names.
pub(crate) fn order(
    needs: &Needs<'_>,
    slot: u64,
    one: &Candidate<'_, '_>,
    other: &Candidate<'_, '_>,
) -> Ordering {
    let left = |node: &Candidate<'_, '_>| node.host.sixteenths_left(needs.reserved);
    let last = |node: &Candidate<'_, '_>| mixed(slot ^ node.host.salt);
    needs.failures[one.at]
        .cmp(&needs.failures[other.at])
        .then_with(|| needs.spread(one.at).cmp(needs.spread(other.at)))
        .then_with(|| needs.on[one.at].cmp(&needs.on[other.at]))
        .then_with(|| left(other).cmp(&left(one)))
        .then_with(|| one.host.tasks.cmp(&other.host.tasks))
        .then_with(|| last(other).cmp(&last(one)))
}

/// Spreads numbers that are alike (the last steps of SplitMix64): of two names together each node gets
/// another share, and one that joins or leaves changes nothing between the others.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
