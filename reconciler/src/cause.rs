//! What makes a source be read: told with what comes of it, and nothing is decided by it.

use std::fmt;

/// Who or what wants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It is time.
    Poll,
    /// The controller has just started.
    Start,
    /// A file of a folder changed.
    Edit,
    /// A forge has delivered a webhook.
    Webhook,
    /// Somebody pushed to a repository of our own.
    Push {
        /// Who: `user@host`.
        by: String,
    },
    /// Somebody gave a command.
    Command {
        /// `keel sync`.
        command: String,
        /// Who: `user@host`; empty where that is not known.
        by: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll => f.write_str("poll"),
            Self::Start => f.write_str("start of keel serve"),
            Self::Edit => f.write_str("edited files"),
            Self::Webhook => f.write_str("webhook"),
            Self::Push { by } => write!(f, "push by {by}"),
            Self::Command { command, by } if by.is_empty() => f.write_str(command),
            Self::Command { command, by } => write!(f, "{command} by {by}"),
        }
    }
}
