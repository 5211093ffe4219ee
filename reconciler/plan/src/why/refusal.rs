//! Why a node cannot run a task.

use keel_engine::{NodeName, Port};
use keel_names::constraint::Constraint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A node with everything that keeps a task from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRefusal {
    /// The node.
    pub node: NodeName,
    /// All of it, not only what was found first.
    pub because: Vec<Refusal>,
}

/// One thing that keeps a task from a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// The node does not answer.
    Silent,
    /// The node is back, and tasks that were replaced meanwhile still run on it.
    Returning,
    /// The node does not belong to the pool.
    NotMember,
    /// A person drained the node.
    Drained,
    /// A person paused the node.
    Paused,
    /// The task failed there again and again.
    Failing {
        /// How often.
        times: u32,
    },
    /// The node runs more tasks of the service than another, and a person asked for an even spread.
    Uneven {
        /// How many.
        tasks: u32,
        /// How many the emptiest runs.
        least: u32,
    },
    /// The node is heard, and what is said to it does not arrive in time.
    OneWay,
    /// A volume of the task's has its data on another node.
    DataElsewhere {
        /// The volume's full name.
        volume: String,
        /// Where its data is.
        node: NodeName,
    },
    /// The task writes to a path of another node, where it ran before.
    PathElsewhere {
        /// The path.
        path: String,
        /// Where it ran before.
        node: NodeName,
    },
    /// The image is on other nodes alone, and no registry gives it.
    ImageElsewhere {
        /// Its reference.
        image: String,
    },
    /// The node is not what a constraint asks for.
    Constraint {
        /// Which.
        constraint: Constraint,
    },
    /// There is no image for the node's kind of machine.
    Platform {
        /// The image's reference.
        image: String,
    },
    /// A port of the task's is taken.
    Port {
        /// Which.
        #[schemars(with = "serde_json::Value")]
        port: Port,
    },
    /// The node runs as many tasks of the service as it may.
    MaxPerNode {
        /// How many.
        max: u32,
    },
    /// Too much of the node's CPU time is reserved.
    Cpus {
        /// NanoCPUs that are missing.
        short: u64,
    },
    /// Too much of the node's memory is reserved.
    Memory {
        /// Bytes that are missing.
        short: u64,
    },
}

impl Refusal {
    /// Whether it is also found out where the task is started, and told better there: with who has the
    /// port, what a registry answered, or since when the node is silent.
    #[must_use]
    pub(crate) fn is_told_at_start(&self) -> bool {
        matches!(self, Self::Port { .. } | Self::Platform { .. } | Self::Silent)
    }
}
