//! How a pass over a stack ended.

use serde::{Deserialize, Serialize};

/// How the last pass ended, and what it had seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// The revision that it was about.
    pub revision: String,
    /// How it ended.
    pub state: OperationState,
    /// What it did or why it did nothing, for people.
    pub reason: String,
    /// Since when it is so.
    pub at: u64,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationState {
    /// Something is still to come.
    #[default]
    Running,
    /// Everything is as desired.
    Succeeded,
    /// Something failed.
    Failed,
    /// Somebody or something holds it.
    Held,
}

impl OperationState {
    /// As the status says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}
