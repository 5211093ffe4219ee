//! What a person opens: a conversation with one task, over [`crate::frames`].

use crate::TaskId;
use serde::{Deserialize, Serialize};

/// A conversation to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Open {
    /// Its output so far, and on.
    Logs {
        /// Whose.
        task: TaskId,
        /// Which part.
        options: LogOptions,
    },
    /// A further process inside of it.
    Exec {
        /// Where.
        task: TaskId,
        /// What.
        exec: Exec,
    },
    /// Its own input and output, from now on; ends with the run's exit code.
    Attach {
        /// To whom.
        task: TaskId,
        /// Also hand over input.
        stdin: bool,
    },
    /// A signal to its process 1.
    Signal {
        /// Whose.
        task: TaskId,
        /// Name or number: `HUP`, `SIGHUP`, `1`.
        signal: String,
    },
}

/// Which part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct LogOptions {
    /// Go on as it grows, until the task is removed.
    pub follow: bool,
    /// Only so many last lines; `None` is all.
    pub tail: Option<u64>,
    /// Nothing older; milliseconds since the epoch.
    pub since: Option<u64>,
    /// Nothing younger.
    pub until: Option<u64>,
    /// Each line begins with its time, RFC 3339 with nanoseconds.
    pub timestamps: bool,
}

/// A further process inside of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// A terminal.
    pub tty: bool,
    /// Hand over input.
    pub stdin: bool,
    /// `KEY=VALUE` beyond the task's own.
    pub env: Vec<String>,
    /// `None` is the task's.
    pub user: Option<String>,
    /// `None` is the task's.
    pub working_dir: Option<String>,
    /// All capabilities.
    pub privileged: bool,
}
