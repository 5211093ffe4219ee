//! What a node is told: wishes, durable once handed over.

use crate::{
    Content, Digest, Goal, NetworkSpec, ObservedTask, Opaque, Place, Presence, PullPolicy, TaskId,
    TaskSpec, Tree, VolumeSpec,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// A wish. The same specification with a higher generation means: apply it again (healing,
/// start, restart).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assignment {
    /// Content that tasks name by digest; kept 0600.
    Content(Content),
    /// Files of a revision that tasks mount by digest.
    Tree(Tree),
    /// An image.
    Image {
        /// As written.
        reference: String,
        /// Whether one that is there is good enough.
        policy: PullPolicy,
        /// Present or absent.
        wanted: Presence,
    },
    /// A network.
    Network {
        /// What it shall be.
        spec: NetworkSpec,
        /// Present or absent.
        wanted: Presence,
    },
    /// A volume.
    Volume {
        /// What it shall be.
        spec: VolumeSpec,
        /// Present or absent.
        wanted: Presence,
    },
    /// A task.
    Task(Box<TaskAssignment>),
}

/// A wish about one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskAssignment {
    /// The task's own name.
    pub id: TaskId,
    /// Where it belongs.
    pub place: Place,
    /// Number of the decision that this is part of; a lower one is refused.
    pub generation: u64,
    /// What it shall be.
    pub spec: Arc<TaskSpec>,
    /// The image's manifest digest, where the decision has pinned one; else the node resolves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whose network namespace it shares (`network_mode: service:…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins: Option<TaskId>,
    /// The task before it in the slot, whose anonymous volumes it takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<TaskId>,
    /// The revision, as shown to people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Where each field came from; handed back unread.
    #[serde(default, skip_serializing_if = "Opaque::is_null")]
    pub origins: Opaque,
    /// Addresses that others are to have, by network: it gets none of them by chance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoids: Vec<(String, IpAddr)>,
    /// How far it shall get.
    pub goal: Goal,
    /// Remove it when it has ended (`run --rm`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_remove: bool,
    /// With goal Removed: its anonymous volumes go too (`down --volumes`, `rm -v`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_volumes: bool,
    /// With goal Stopped or Removed: SIGKILL at once (`kill`, `rm -f`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// With goal Running: the process that runs now is ended first, and another one follows, whatever
    /// dies in between. A task that shares another's network namespace then joins the one that this
    /// has now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    /// Milliseconds between the signal and SIGKILL, where this decision has its own (`stop -t`): the
    /// specification stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
}

impl TaskAssignment {
    /// What a task has, told again: the same specification for a later decision.
    #[must_use]
    pub fn again(task: &ObservedTask, goal: Goal, generation: u64) -> Self {
        Self {
            id: task.id.clone(),
            place: task.place.clone(),
            generation,
            spec: task.spec.clone(),
            digest: task.digest,
            joins: task.joins.clone(),
            replaces: None,
            revision: task.revision.clone(),
            origins: task.origins.clone(),
            avoids: Vec::new(),
            goal,
            auto_remove: task.auto_remove,
            remove_volumes: false,
            force: false,
            anew: false,
            grace: None,
        }
    }

    /// How long its process has to end after the signal.
    #[must_use]
    pub fn grace_ms(&self) -> u64 {
        self.grace.unwrap_or_else(|| self.spec.grace_ms())
    }
}
