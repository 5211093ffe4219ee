//! Every far node by its name, connected or not.

use super::far::Far;
use super::limits::Limits;
use super::version::Hello;
use keel_engine::NodeName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Every far node that somebody asked for, or that connected.
pub struct Switchboard {
    limits: Arc<Limits>,
    hello: Arc<Mutex<Arc<Hello>>>,
    nodes: Mutex<BTreeMap<NodeName, Arc<Far>>>,
    connections: Arc<watch::Sender<()>>,
}

impl Switchboard {
    /// Without nodes, of a pool that has had one controller.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::of(limits, Hello::own())
    }

    /// Without nodes; this is what they are told first.
    #[must_use]
    pub fn of(limits: Limits, hello: Hello) -> Self {
        let hello = Arc::new(Mutex::new(Arc::new(hello)));
        let connections = Arc::new(watch::Sender::new(()));
        Self { limits: Arc::new(limits), hello, nodes: Mutex::default(), connections }
    }

    /// From now on nodes are told this first. Those that are connected come again, and hear it.
    pub fn introduce(&self, hello: Hello) {
        *self.hello.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hello);
        let all: Vec<_> = self.nodes().values().cloned().collect();
        let connected = all.iter().filter(|far| far.away().is_none());
        connected.for_each(|far| far.disconnect("the controllers of the pool changed"));
    }

    /// How much nodes may send, and how long they may take.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeName, Arc<Far>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node of this name. It is the same one through all of its connections, and unknown until it has one.
    #[must_use]
    pub fn far(&self, node: &NodeName) -> Arc<Far> {
        let new = || {
            let (limits, hello) = (self.limits.clone(), self.hello.clone());
            Arc::new(Far::new(node.clone(), limits, hello, self.connections.clone()))
        };
        self.nodes().entry(node.clone()).or_insert_with(new).clone()
    }

    /// Hints that some node is connected from now on, or is no more.
    pub(crate) fn connections(&self) -> watch::Receiver<()> {
        self.connections.subscribe()
    }

    /// Ends a node's connection, and everything that goes over it, at once.
    pub fn disconnect(&self, node: &NodeName, why: &str) {
        let far = self.nodes().get(node).cloned();
        if let Some(far) = far {
            far.disconnect(why);
        }
    }
}
