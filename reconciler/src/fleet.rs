//! The nodes: a map from name to engine. One host is a map of one.

use keel_engine::Engine;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every node by its name.
#[derive(Clone, Default)]
pub struct Fleet {
    nodes: BTreeMap<String, Arc<dyn Engine>>,
}

impl Fleet {
    /// One host.
    pub fn of(node: impl Into<String>, engine: Arc<dyn Engine>) -> Self {
        Self { nodes: [(node.into(), engine)].into() }
    }
}
