//! What people allow to be placed on a node.

use serde::{Deserialize, Serialize};

/// What may be placed on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// Everything.
    #[default]
    Active,
    /// Nothing new; what runs there stays, and is not updated.
    Pause,
    /// Nothing: what runs there moves to other nodes.
    Drain,
}

impl Availability {
    /// As people write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}
