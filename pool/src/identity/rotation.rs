//! How far the replacement of an authority has come, and who is asked next to renew. Pure.
//!
//! # Invariants
//! - A node has renewed once it was seen with a certificate of the new authority: that one was made proves nothing, the
//!   reply may be lost.
//! - A node that is away is waited for, however long; one that was removed is not.

use super::authority::Authority;
use super::node::NodeRecord;
use super::registry::Registry;
use keel_engine::NodeName;
use std::collections::BTreeMap;
use std::time::Duration;

/// Nodes that are asked at a time.
const BATCH: usize = 30;
/// A node that has been asked for so long holds nobody else up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which nodes have a certificate of the new authority, and use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RotationProgress {
    /// Those that do.
    pub renewed: Vec<NodeName>,
    /// Those that do not.
    pub waiting: Vec<NodeName>,
}

impl RotationProgress {
    /// As the record says.
    #[must_use]
    pub fn of(registry: &Registry, authority: &Authority) -> Self {
        let (renewed, waiting): (Vec<_>, Vec<_>) =
            registry.nodes().partition(|node| has_renewed(node, authority));
        let names = |nodes: Vec<&NodeRecord>| {
            let mut names: Vec<_> = nodes.iter().map(|node| node.name.clone()).collect();
            names.sort();
            names
        };
        Self { renewed: names(renewed), waiting: names(waiting) }
    }

    /// Whether the former root can be dropped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn has_renewed(node: &NodeRecord, authority: &Authority) -> bool {
    let is_new = |key| authority.has_certified(key);
    // One that joined since has no other.
    node.keys.iter().all(is_new) || node.keys.iter().any(|key| key.used.is_some() && is_new(key))
}

/// Which of the nodes that are connected and have not renewed are asked next. `asked`: for how long others have been.
#[must_use]
pub fn next_batch(waiting: &[NodeName], asked: &BTreeMap<NodeName, Duration>) -> Vec<NodeName> {
    let is_busy = |name: &&NodeName| asked.get(*name).is_some_and(|since| *since < PATIENCE);
    let room = BATCH.saturating_sub(waiting.iter().filter(is_busy).count());
    waiting.iter().filter(|name| !asked.contains_key(*name)).take(room).cloned().collect()
}

/// When those who have been asked hold nobody else up any more.
#[must_use]
pub fn patience() -> Duration {
    PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(range: std::ops::Range<usize>) -> Vec<NodeName> {
        range.map(|number| NodeName::new(format!("node-{number:02}"))).collect()
    }

    fn asked(range: std::ops::Range<usize>, seconds: u64) -> BTreeMap<NodeName, Duration> {
        names(range).into_iter().map(|name| (name, Duration::from_secs(seconds))).collect()
    }

    #[test]
    fn nodes_are_asked_in_batches_and_one_that_hangs_holds_nobody_up() {
        let all = names(0..70);
        assert_eq!(next_batch(&all, &BTreeMap::new()), names(0..30));
        assert_eq!(next_batch(&all, &asked(0..30, 3)), []);
        // Ten have renewed.
        assert_eq!(next_batch(&all[10..], &asked(0..30, 3)), names(30..40));
        assert_eq!(next_batch(&all, &asked(0..30, 30)), names(30..60));
    }
}
