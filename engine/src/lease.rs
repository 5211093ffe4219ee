//! Who drives a node: a lease is a value that a node grants, checks and ends.
//!
//! # Invariants
//! - A node's epoch goes up each time that another process gets to drive it; all leases of one epoch have
//!   the same holder.
//! - What is handed over under a lease that is over is refused ([`crate::EngineError::Driven`]), so that
//!   whoever lost a node without noticing changes nothing there.

use serde::{Deserialize, Serialize};

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
