//! How a pass over a stack ended.

mod past_action;
mod reason;

pub use past_action::PastAction;
pub use reason::OperationReason;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the last pass ended, and what it had seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// The revision that it was about.
    pub revision: String,
    /// How it ended.
    pub state: OperationState,
    /// What it did or why it did nothing.
    pub reason: OperationReason,
    /// Since when it is so.
    pub at: u64,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A state as a text that is empty where there is none.
pub(crate) mod state_or_nothing {
    use super::OperationState;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Text {
        State(OperationState),
        Nothing(String),
    }

    pub(crate) fn serialize<S: Serializer>(
        state: &Option<OperationState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        state.map_or(Text::Nothing(String::new()), Text::State).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<OperationState>, D::Error> {
        Ok(match Text::deserialize(deserializer)? {
            Text::State(state) => Some(state),
            Text::Nothing(_) => None,
        })
    }
}
