//! Commands that people are told to give: as data, and as they are typed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A command to give now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Advice {
    /// See what a stack's containers print.
    Logs {
        /// Which.
        stack: String,
    },
    /// See an operation with all that is known of it.
    ShowHistory {
        /// Which.
        number: u64,
    },
    /// Try a revision that failed once more.
    Retry {
        /// Whose.
        stack: String,
    },
    /// See how a stack is.
    Status {
        /// Which; `None`: all.
        stack: Option<String>,
    },
    /// See what drifted.
    Drift {
        /// Of which stack.
        stack: String,
    },
    /// Let a revision through that would remove too much.
    Confirm {
        /// Of which source.
        source: String,
    },
    /// See how the sources are.
    Sources,
    /// See how the nodes are.
    Nodes,
    /// Say that a node's machine does not run any more.
    ConfirmDead {
        /// Which.
        node: String,
    },
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logs { stack } => write!(f, "keel logs {stack}"),
            Self::ShowHistory { number } => write!(f, "keel history show {number}"),
            Self::Retry { stack } => write!(f, "keel sync {stack} --retry"),
            Self::Status { stack: Some(stack) } => write!(f, "keel status {stack}"),
            Self::Status { stack: None } => f.write_str("keel status"),
            Self::Drift { stack } => write!(f, "keel drift {stack}"),
            Self::Confirm { source } => write!(f, "keel confirm {source}"),
            Self::Sources => f.write_str("keel source ls"),
            Self::Nodes => f.write_str("keel node ls"),
            Self::ConfirmDead { node } => write!(f, "keel node confirm-dead {node}"),
        }
    }
}
