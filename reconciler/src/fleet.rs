//! The nodes: a map from name to engine. One host is a map of one.
//!
//! # Invariants
//! - A node that does not answer hides no other one; what it had is unknown, not gone.
//! - A wish goes to the node that has the task; what is new goes to the node that was placed.

use futures_util::future::join_all;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, Observation, ObservedTask, Open, TaskId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every node by its name.
#[derive(Clone, Default)]
pub struct Fleet {
    nodes: BTreeMap<String, Arc<dyn Engine>>,
}

/// What all nodes report.
#[derive(Debug, Default)]
pub struct Observed {
    /// Those that answered, by name.
    pub nodes: Vec<Observation>,
    /// Those that did not, and why.
    pub silent: Vec<(String, EngineError)>,
}

impl Observed {
    /// Every task with its node.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &ObservedTask)> {
        self.nodes
            .iter()
            .flat_map(|node| node.tasks.iter().map(move |task| (node.node.as_str(), task)))
    }

    /// One task.
    #[must_use]
    pub fn task(&self, id: &TaskId) -> Option<&ObservedTask> {
        self.tasks().map(|(_, task)| task).find(|task| task.id == *id)
    }
}

impl Fleet {
    /// One host.
    pub fn of(node: impl Into<String>, engine: Arc<dyn Engine>) -> Self {
        Self { nodes: [(node.into(), engine)].into() }
    }

    /// Looks at every node at once.
    pub async fn observe(&self, depth: Depth) -> Observed {
        let looks = self.nodes.iter().map(|(name, engine)| async move {
            (name.clone(), engine.observe(depth).await)
        });
        let mut observed = Observed::default();
        for (name, answer) in join_all(looks).await {
            match answer {
                Ok(seen) => observed.nodes.push(seen),
                Err(error) => observed.silent.push((name, error)),
            }
        }
        observed
    }

    /// Hands wishes to every node that they concern; gives what was refused, by node. A node that
    /// refuses stops no other.
    pub async fn assign(&self, wishes: &[Assignment]) -> Vec<(String, EngineError)> {
        if wishes.is_empty() {
            return vec![];
        }
        let hands = self.nodes.iter().map(|(name, engine)| async move {
            engine.assign(wishes).await.err().map(|error| (name.clone(), error))
        });
        join_all(hands).await.into_iter().flatten().collect()
    }

    /// Hints of all nodes.
    pub fn events(&self) -> BoxStream<'static, Event> {
        let all: SelectAll<_> = self.nodes.values().map(|engine| engine.events()).collect();
        all.boxed()
    }

    /// Opens a conversation with a task, on the node that knows it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>, EngineError> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        let mut answer = EngineError::NotFound { kind: "task", name: task.to_string() };
        for engine in self.nodes.values() {
            match engine.open(what.clone()).await {
                Err(error @ EngineError::NotFound { .. }) => answer = error,
                other => return other,
            }
        }
        Err(answer)
    }
}
