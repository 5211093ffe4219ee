//! What keeps two tasks of a slot from running at the same time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What only one of them can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SoleUse {
    /// Its service is exclusive.
    Exclusive,
    /// Data that has one writer.
    Data,
    /// An address that its file fixes.
    Address,
    /// A port of the node.
    Port,
    /// The node's own network.
    HostNetwork,
    /// A network namespace that other services share.
    Namespace,
    /// What its node has left to reserve.
    Room,
}
