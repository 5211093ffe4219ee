//! What is awaited of something else.

use crate::desired::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What must be true of another service's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Awaited {
    /// It runs.
    Started,
    /// Its check says healthy.
    Healthy,
    /// It ended with 0.
    Completed,
    /// It is prepared.
    Ready,
    /// It is gone.
    Removed,
}

impl From<Condition> for Awaited {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Started => Self::Started,
            Condition::Healthy => Self::Healthy,
            Condition::Completed => Self::Completed,
        }
    }
}
