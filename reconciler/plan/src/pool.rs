//! What the controller keeps of its nodes, beside what they report: who belongs to the pool, as what, and
//! what may be placed there.
//!
//! # Invariants
//! - The controller's own node always belongs to the pool. Any other has to be a member before it is
//!   chosen for something; what already is on one that is not stays there.

use keel_engine::{Availability, HostFacts, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The nodes that tasks are placed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// By name. One that is not here is no member, but for the controller's own.
    pub members: BTreeMap<NodeName, NodeFacts>,
}

/// The controller's own node, and no other.
static ALONE: Pool = Pool { members: BTreeMap::new() };

/// The facts of a node that nobody said anything about.
static PLAIN: NodeFacts = NodeFacts {
    id: String::new(),
    role: Role::Manager,
    labels: BTreeMap::new(),
    availability: Availability::Active,
    is_emptied: false,
    reserve: None,
    dead: None,
    is_unheard: false,
    is_one_way: false,
};

impl Pool {
    /// The controller's own node, and no other.
    #[must_use]
    pub fn alone() -> &'static Self {
        &ALONE
    }

    /// Whether nothing can be placed on any node but the controller's own.
    #[must_use]
    pub fn is_alone(&self, home: &NodeName) -> bool {
        self.members.keys().all(|node| node == home)
    }

    /// What of a node's room its tasks may reserve. A reservation chooses among nodes: where there is only one,
    /// it holds nothing up, as under docker compose. `None`: nobody counts, or that is unknown.
    #[must_use]
    pub fn room(&self, node: &NodeName, home: &NodeName, host: &HostFacts) -> Room {
        if self.is_alone(home) {
            return Room::default();
        }
        let cpus = Some(host.nano_cpus).filter(|cpus| *cpus > 0);
        Room { cpus, memory: self.facts(node).allocatable(host.memory) }
    }

    /// Whether a node belongs to the pool.
    #[must_use]
    pub fn has(&self, node: &NodeName, home: &NodeName) -> bool {
        node == home || self.members.contains_key(node)
    }

    /// What is kept of a node; of one that nobody said anything about, what is so without a word.
    #[must_use]
    pub fn facts(&self, node: &NodeName) -> &NodeFacts {
        self.members.get(node).unwrap_or(&PLAIN)
    }
}

/// What of a node may be reserved; `None`: any amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// CPU time, in nanoCPUs.
    pub cpus: Option<u64>,
}

/// What the controller keeps of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFacts {
    /// The identity that it was given; empty: none.
    pub id: String,
    /// Its role.
    pub role: Role,
    /// What people labeled it with.
    pub labels: BTreeMap<String, String>,
    /// What may be placed there.
    pub availability: Availability,
    /// Where it is drained: what cannot run elsewhere stops.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_emptied: bool,
    /// Memory that is kept from tasks, in bytes. `None`: a twentieth, and at least 128 MiB.
    pub reserve: Option<u64>,
    /// When a person said that its machine does not run any more, and that its tasks are to run elsewhere;
    /// milliseconds since the Unix epoch. It is over once the node is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead: Option<u64>,
    /// It is heard, and what is said to it does not arrive in time: nothing new is placed there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_one_way: bool,
    /// The controller was restored from a backup, and has not heard the node since: what was sent there after the
    /// backup was made is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_unheard: bool,
}

impl NodeFacts {
    /// Of a node's memory what its tasks may reserve. `None`: that is unknown.
    #[must_use]
    pub fn allocatable(&self, memory: u64) -> Option<u64> {
        const LEAST: u64 = 128 << 20;
        let reserve = self.reserve.unwrap_or_else(|| LEAST.max(memory / 20));
        (memory > 0).then(|| memory.saturating_sub(reserve))
    }
}

/// What a node is in its pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It can be the controller.
    #[default]
    Manager,
    /// It only runs tasks.
    Worker,
}

impl Role {
    /// As constraints call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Worker => "worker",
        }
    }
}
