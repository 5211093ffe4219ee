//! Where a service's tasks may run, how many there are, and whether they end: as its revision wants it. What
//! each of them keeps a node's room for is part of its specification.

use keel_names::constraint::Constraint;
use serde::{Deserialize, Serialize};

/// A service's placement. Without a word about it: any node, as many as its replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// Which slots there are, and whether their tasks end.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// What each of its nodes must be.
    #[serde(skip_serializing_if = "is_default")]
    pub constraints: Vec<Constraint>,
    /// Labels of nodes over whose values the tasks are spread, the first before the others.
    #[serde(skip_serializing_if = "is_default")]
    pub spread: Vec<String>,
    /// How many tasks a node takes at most.
    #[serde(skip_serializing_if = "is_default")]
    pub max_per_node: Option<u32>,
    /// At most one task of a slot ever runs: none is started elsewhere while nobody knows whether the one before
    /// it still runs.
    #[serde(skip_serializing_if = "is_default")]
    pub exclusive: bool,
    /// A path of the stack that is on the controller's own node alone, and that its tasks mount.
    #[serde(skip_serializing_if = "is_default")]
    pub home_path: Option<String>,
}

/// Which slots a service has, and whether their tasks end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As many as its replicas.
    #[default]
    Replicated,
    /// One on every node that may run it.
    Global,
    /// As many as its replicas; each runs until it ends well, once.
    ReplicatedJob,
    /// One on every node that may run it; each runs until it ends well, once.
    GlobalJob,
}

impl Mode {
    /// Whether there is one slot for each node, called by the node's name.
    #[must_use]
    pub fn is_global(self) -> bool {
        matches!(self, Self::Global | Self::GlobalJob)
    }

    /// Whether its tasks end, each slot's once for each specification.
    #[must_use]
    pub fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob | Self::GlobalJob)
    }
}

// What is as always enters no stored form: a version that knows more keys finds nothing changed.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
