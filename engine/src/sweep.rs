//! Room on a node's disk: how much there is, and what may go.

use crate::{Digest, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The disk that a node keeps everything on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that are free.
    pub free: u64,
}

impl Disk {
    /// How full it is, in percent, rounded down.
    #[must_use]
    pub fn percent(self) -> u64 {
        let used = u128::from(self.total.saturating_sub(self.free));
        let percent = (used * 100).checked_div(u128::from(self.total)).unwrap_or(0);
        u64::try_from(percent).unwrap_or(100)
    }
}

/// What may go, decided by whoever knows what is needed. Whatever a task of the node has, the node
/// keeps all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sweep {
    /// Names of images that may go.
    pub images: BTreeSet<String>,
    /// Names that stay, also where one of those above is another way to write them.
    pub needed: BTreeSet<String>,
    /// Images that stay though no name leads to them any more, by manifest digest.
    pub digests: BTreeSet<Digest>,
    /// Contents and trees that stay.
    pub contents: BTreeSet<Digest>,
    /// What no name leads to goes if it came before then; milliseconds since 1970.
    pub images_before: u64,
    /// Other contents go if they came before then.
    pub contents_before: u64,
    /// Other trees go if they came before then.
    pub trees_before: u64,
    /// Nothing goes: it is only told what would.
    pub dry: bool,
}

/// What takes up how much room on a node, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All images, with what no name leads to any more.
    pub images: u64,
    /// Each task: its writable layer, its output, what it is made of.
    pub tasks: BTreeMap<TaskId, u64>,
    /// Each volume that the node keeps itself.
    pub volumes: BTreeMap<String, u64>,
    /// Configs, secrets and files of revisions.
    pub contents: u64,
}

/// What a sweep came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Swept {
    /// Names of images that are gone.
    pub images: Vec<String>,
    /// Contents that are gone.
    pub contents: u64,
    /// Trees that are gone.
    pub trees: u64,
    /// Bytes that are free now, or will be soon.
    pub bytes: u64,
    /// Images are pulled: no image and no part of one has gone.
    pub waits: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_by_what_is_used_of_it() {
        let cases = [(0, 0, 0), (100, 100, 0), (100, 16, 84), (1000, 151, 84), (7, 0, 100)];
        for (total, free, percent) in cases {
            assert_eq!(Disk { total, free }.percent(), percent, "{total} {free}");
        }
    }
}
