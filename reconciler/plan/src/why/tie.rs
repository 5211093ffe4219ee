//! What holds a slot to one node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a second task of a slot is not started elsewhere while nobody knows whether the first one runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Tie {
    /// Its data is there.
    Volume {
        /// The volume's full name.
        volume: String,
    },
    /// It writes to a path of the node.
    Path {
        /// The path.
        path: String,
    },
    /// There may be one of it at most, says its file.
    Exclusive,
}
