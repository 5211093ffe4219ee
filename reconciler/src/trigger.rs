//! What or who began an operation: as data, and in words for people.

use crate::clock::rfc3339;
use keel_engine::short;
use keel_plan::standing::ScaleOverride;
use keel_plan::why::PersonsCommand;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What or who began an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trigger {
    /// Nothing and nobody: a pass looked.
    Look,
    /// A revision came.
    Revision {
        /// Which.
        revision: String,
        /// From where; `None`: the command line.
        source: Option<String>,
    },
    /// A source was read, and had no revision that could be used.
    Source {
        /// Which.
        source: String,
    },
    /// A person went back to a revision.
    Rollback {
        /// Which.
        revision: String,
        /// Who.
        by: String,
    },
    /// A person set the number of a service's tasks.
    Scaled {
        /// Which service.
        service: String,
        /// What they set.
        scale: ScaleOverride,
    },
    /// The number that a person had set for a service counted no longer.
    ScaleEnded {
        /// Which service.
        service: String,
        /// What they had set.
        scale: ScaleOverride,
    },
    /// A person asked for an even spread over the nodes.
    Rebalance {
        /// Who.
        by: String,
    },
    /// A person gave a command about single tasks.
    Command {
        /// Which.
        command: PersonsCommand,
    },
    /// Somebody touched the host.
    Drift,
    /// A container was not there.
    NotThere,
    /// A tag meant another image.
    TagMoved,
    /// The source no longer named something.
    LeftSource {
        /// Which; `None`: the command line.
        source: Option<String>,
    },
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// In words, as an older version recorded it.
    #[serde(untagged)]
    Other(String),
}

impl Trigger {
    /// Whether nothing and nobody asked for it.
    #[must_use]
    pub fn is_look(&self) -> bool {
        match self {
            Self::Look => true,
            // Those of an older version are known by their words.
            Self::Other(_) => self.to_string() == Self::Look.to_string(),
            _ => false,
        }
    }
}

/// The words for people.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |source: &Option<String>| match source {
            Some(name) => format!("source {name}"),
            None => "the command line".to_owned(),
        };
        match self {
            Self::Look => f.write_str("a look"),
            Self::Revision { revision, source } => {
                write!(f, "revision {} of {}", short(revision), named(source))
            }
            Self::Source { source } => write!(f, "source {source}"),
            Self::Rollback { revision, by } => {
                write!(f, "rollback to {} by {by}", short(revision))
            }
            Self::Scaled { service, scale } => {
                let until = scale.until.map(|until| format!(" until {}", rfc3339(until)));
                let reason = scale.reason.iter().map(|reason| format!(": {reason}"));
                let (by, replicas) = (&scale.by, scale.replicas);
                let more: String = until.into_iter().chain(reason).collect();
                write!(f, "scale of {service} to {replicas} by {by}{more}")
            }
            Self::ScaleEnded { service, scale } => {
                write!(f, "end of the scale of {service} to {} by {}", scale.replicas, scale.by)
            }
            Self::Rebalance { by } => write!(f, "rebalance by {by}"),
            Self::Command { command } => write!(f, "keel {command}"),
            Self::Drift => f.write_str("drift"),
            Self::NotThere => f.write_str("a container was not there"),
            Self::TagMoved => f.write_str("a tag that moved"),
            Self::LeftSource { source } => {
                write!(f, "{} does not name it any more", named(source))
            }
            Self::Unknown => Ok(()),
            Self::Other(words) => f.write_str(words),
        }
    }
}
