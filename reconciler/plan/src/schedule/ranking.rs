//! Which of several nodes takes a task: an order that is the same for equal inputs, on every machine.

use super::cluster::Host;
use super::needs::Needs;
use std::cmp::Reverse;

/// The first in order takes the task. Each part decides only where those before it are equal.
pub(crate) type Rank = (u32, Vec<u32>, u32, Reverse<u64>, u32, Reverse<u64>);

/// Failures of the service on the node; its tasks in the node's branch, level by level; its tasks on the
/// node; what is left of the scarcer of CPU time and memory; tasks on the node; and a number of both names.
pub(crate) fn rank(needs: &Needs<'_>, host: &Host<'_>, at: usize, slot: u64) -> Rank {
    (
        needs.failures[at],
        needs.spread(at),
        needs.on[at],
        Reverse(host.sixteenths_left(needs.reserved)),
        host.tasks,
        Reverse(mixed(slot ^ host.salt)),
    )
}

/// Spreads numbers that are alike (the last steps of SplitMix64): of two names together each node gets
/// another share, and one that joins or leaves changes nothing between the others.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
