//! What people do to single tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to do with tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskVerb {
    /// Run what is stopped.
    Start,
    /// Stop, and keep it stopped.
    Stop,
    /// Stop and start.
    Restart,
    /// A signal; KILL also keeps it stopped.
    Kill {
        /// `KILL` unless given.
        signal: String,
    },
    /// Remove what is stopped.
    Remove {
        /// Also what runs.
        force: bool,
        /// Anonymous volumes too (`-v`).
        volumes: bool,
    },
}
