//! What is known of every node, each by its name: one host is a map of one.
//!
//! # Invariants
//! - A node that does not answer is unknown, and so is what is on it; the others are as they say. Only whoever
//!   watches all of them says of one that it is down.
//! - A wish names the node that it is for.

use crate::{
    Assignment, ForeignContainer, NodeName, Observation, ObservedImage, ObservedNetwork,
    ObservedTask, ObservedVolume, Slot, StackName, TaskAssignment, TaskId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeReport {
    /// It answered.
    Known(Arc<Observation>),
    /// It did not.
    Unknown {
        /// The first look that it did not answer; milliseconds since the Unix epoch.
        since: u64,
        /// What came instead of an answer, for people.
        why: String,
        /// What it said last, if it ever did.
        last: Option<Arc<Observation>>,
        /// It has been silent for so long that it is given up: what can run elsewhere does.
        #[serde(default)]
        is_down: bool,
    },
}

impl NodeReport {
    /// What it says, or said last.
    #[must_use]
    pub fn seen(&self) -> Option<&Observation> {
        match self {
            Self::Known(observation) => Some(observation),
            Self::Unknown { last, .. } => last.as_deref(),
        }
    }

    /// What it says now.
    #[must_use]
    pub fn known(&self) -> Option<&Observation> {
        match self {
            Self::Known(observation) => Some(observation),
            Self::Unknown { .. } => None,
        }
    }
}

/// A node that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent<'a> {
    /// Its name.
    pub node: &'a NodeName,
    /// Since when; milliseconds since the Unix epoch.
    pub since: u64,
    /// What came instead of an answer, for people.
    pub why: &'a str,
    /// Whether it is given up.
    pub is_down: bool,
}

/// Every node, as it is known. What is asked of all of them together covers what silent nodes said
/// last: whoever must not conclude from that asks [`Nodes::silent`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nodes {
    /// The controller's own: where a thing goes that nothing binds to another.
    pub home: NodeName,
    /// By name.
    pub reports: BTreeMap<NodeName, NodeReport>,
}

impl From<Observation> for Nodes {
    /// One host.
    fn from(observation: Observation) -> Self {
        let home = observation.node.clone();
        let report = NodeReport::Known(Arc::new(observation));
        Self { home: home.clone(), reports: [(home, report)].into() }
    }
}

impl Nodes {
    /// Whether there is a node of this name, silent or not.
    #[must_use]
    pub fn has(&self, node: &NodeName) -> bool {
        self.reports.contains_key(node)
    }

    /// What a node says now; `None` where it is silent, or there is none.
    #[must_use]
    pub fn known(&self, node: &NodeName) -> Option<&Observation> {
        self.reports.get(node)?.known()
    }

    /// The node, where it is silent.
    #[must_use]
    pub fn silent(&self, node: &NodeName) -> Option<Silent<'_>> {
        let (node, report) = self.reports.get_key_value(node)?;
        match report {
            NodeReport::Known(_) => None,
            NodeReport::Unknown { since, why, is_down, .. } => {
                Some(Silent { node, since: *since, why, is_down: *is_down })
            }
        }
    }

    /// Every node that is silent.
    pub fn all_silent(&self) -> impl Iterator<Item = Silent<'_>> {
        self.reports.keys().filter_map(|node| self.silent(node))
    }

    /// Every node that answered.
    pub fn all_known(&self) -> impl Iterator<Item = (&NodeName, &Observation)> + Clone {
        self.reports.iter().filter_map(|(node, report)| Some((node, report.known()?)))
    }

    /// Every node, as it is or was last.
    pub fn seen(&self) -> impl Iterator<Item = (&NodeName, &Observation)> + Clone {
        self.reports.iter().filter_map(|(node, report)| Some((node, report.seen()?)))
    }

    /// Every task with its node.
    pub fn placed_tasks(&self) -> impl Iterator<Item = (&NodeName, &ObservedTask)> + Clone {
        self.seen().flat_map(|(node, seen)| seen.all_tasks().map(move |task| (node, task)))
    }

    /// Every task.
    pub fn all_tasks(&self) -> impl Iterator<Item = &ObservedTask> + Clone {
        self.placed_tasks().map(|(_, task)| task)
    }

    /// The tasks in a stack's slots.
    pub fn tasks_of<'a>(
        &'a self,
        stack: &'a StackName,
    ) -> impl Iterator<Item = (&'a Slot, &'a ObservedTask)> {
        self.seen().flat_map(|(_, seen)| seen.tasks_of(stack))
    }

    /// The task of this id.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&ObservedTask> {
        self.all_tasks().find(|task| task.id == *id)
    }

    /// The node that has the task of this id.
    #[must_use]
    pub fn node_of(&self, id: &TaskId) -> Option<&NodeName> {
        self.placed_tasks().find(|(_, task)| task.id == *id).map(|(node, _)| node)
    }

    /// Every network with its node.
    pub fn all_networks(&self) -> impl Iterator<Item = (&NodeName, &ObservedNetwork)> + Clone {
        self.seen().flat_map(|(node, seen)| seen.networks.iter().map(move |one| (node, &**one)))
    }

    /// Every volume with its node.
    pub fn all_volumes(&self) -> impl Iterator<Item = (&NodeName, &ObservedVolume)> + Clone {
        self.seen().flat_map(|(node, seen)| seen.volumes.iter().map(move |one| (node, &**one)))
    }

    /// Every image with its node.
    pub fn all_images(&self) -> impl Iterator<Item = (&NodeName, &ObservedImage)> + Clone {
        self.seen().flat_map(|(node, seen)| seen.all_images().map(move |one| (node, one)))
    }

    /// Containers of other engines, with their node.
    pub fn all_foreign(&self) -> impl Iterator<Item = (&NodeName, &ForeignContainer)> + Clone {
        self.seen().flat_map(|(node, seen)| seen.foreign.iter().map(move |one| (node, one)))
    }

    /// A network of this full name on any node: the first one's, the controller's own before others.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<(&NodeName, &ObservedNetwork)> {
        let named = self.all_networks().filter(|(_, network)| network.spec.name == name);
        named.min_by_key(|(node, _)| **node != self.home)
    }

    /// A volume of this full name on any node, in the same order.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<(&NodeName, &ObservedVolume)> {
        let named = self.all_volumes().filter(|(_, volume)| volume.spec.name == name);
        named.min_by_key(|(node, _)| **node != self.home)
    }

    /// What a reference means on any node: one that is there before one that is not, the
    /// controller's own node before others.
    #[must_use]
    pub fn image(&self, reference: &str) -> Option<&ObservedImage> {
        let named = self.all_images().filter(|(_, image)| image.reference == reference);
        let first = named.min_by_key(|(node, image)| (image.digest.is_none(), **node != self.home));
        first.map(|(_, image)| image)
    }

    /// A wish about a task: for the node that has it, or the controller's own.
    #[must_use]
    pub fn wish_for(&self, task: TaskAssignment) -> Wish {
        let node = self.node_of(&task.id).unwrap_or(&self.home).clone();
        Wish { node, what: Assignment::Task(Box::new(task)) }
    }

    /// A wish for the controller's own node.
    #[must_use]
    pub fn wish_at_home(&self, what: Assignment) -> Wish {
        Wish { node: self.home.clone(), what }
    }
}

/// What one node is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// Which.
    pub node: NodeName,
    /// What.
    pub what: Assignment,
}
