//! Who drives a node: a lease is a value that a node grants, checks and ends.
//!
//! # Invariants
//! - A node's epoch goes up each time that another process gets to drive it; all leases of one epoch have
//!   the same holder.
//! - What is handed over under a lease that is over is refused ([`crate::EngineError::Driven`]), so that
//!   whoever lost a node without noticing changes nothing there.

use crate::{Engine, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The right to drive a node, until it is released, the node loses sight of its holder, or its term is over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it, as others are told: `keel serve`.
    pub holder: String,
    /// Which of the node's drivers that is, in their order.
    pub epoch: u64,
    /// Which of the holder's leases: it may hold several at a time.
    pub number: u64,
    /// Milliseconds after which it is over unless it is renewed. `None`: the node notices by itself when its
    /// holder is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
}

/// A lease of this process, released when it is dropped.
#[must_use = "the lease is released at once"]
pub struct Turn {
    engine: Arc<dyn Engine>,
    lease: Lease,
}

impl Turn {
    /// Waits for a lease.
    pub async fn take(engine: Arc<dyn Engine>) -> Result<Self> {
        let lease = engine.lease().await?;
        Ok(Self { engine, lease })
    }

    /// What to hand wishes over with.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.engine.release(&self.lease);
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Turn").field(&self.lease).finish()
    }
}
