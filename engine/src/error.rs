//! Why an engine could not do what it was asked: a kind with its data, and words for people.
//!
//! # Invariants
//! - Whoever decides by an error matches its kind; texts are only printed.
//! - Causes travel as texts. A kind that only a later version knows is read as [`EngineError::Failed`], with
//!   the words that came with it.

use crate::{Opaque, TaskId, cause::Cause};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::io;

/// What an engine answers.
pub type Result<T> = std::result::Result<T, EngineError>;

/// Why an engine could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(from = "Told", into = "Told")]
#[non_exhaustive]
pub enum EngineError {
    /// The wish is older than what the task has.
    #[error("task {task} is at generation {has}, so generation {given} is refused")]
    OldGeneration {
        /// The task.
        task: TaskId,
        /// Its generation.
        has: u64,
        /// What was handed over.
        given: u64,
    },
    /// The target of an [`crate::Open`] or of a wish does not exist.
    #[error("no such {kind}: {name}")]
    NotFound {
        /// What was looked for.
        kind: Thing,
        /// How it was asked for.
        name: String,
    },
    /// The target is in a state that forbids it.
    #[error("{what}")]
    Conflict {
        /// What is in the way, in words.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Somebody else drives the node from now on, or the lease that was shown is over.
    #[error("{by} drives this root now")]
    Driven {
        /// Who.
        by: String,
    },
    /// The node does not know how.
    #[error("{what}")]
    Unsupported {
        /// What it was asked, in words.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The machine lacks something, or an operation failed.
    #[error("{what}")]
    Failed {
        /// What it is about.
        trouble: Trouble,
        /// What was tried, in words.
        what: String,
        /// The cause.
        #[source]
        cause: Option<Cause>,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// What can be missing on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Thing {
    /// A task.
    Task,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A node.
    Node,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task => "task",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Node => "node",
        })
    }
}

/// What a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trouble {
    /// The disk is full, or a quota is used up.
    DiskFull,
    /// The disk takes no writes.
    ReadOnlyDisk,
    /// Another machine cannot be reached, or does not answer.
    Network,
    /// A registry answers, but not with what it was asked for.
    Registry,
    /// The machine has no more memory, processes or descriptors to give.
    Exhausted,
    /// Anything else. Also what only a later version knows.
    #[default]
    #[serde(other)]
    Other,
}

impl EngineError {
    /// A failure with its cause, which says what it is about where the kernel told.
    pub fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self::Failed {
            trouble: Trouble::of(&*source),
            what: what.into(),
            cause: Some(Cause::of(&*source)),
            hint: None,
        }
    }

    /// The same failure, about something that only the caller knows.
    #[must_use]
    pub fn about(mut self, about: Trouble) -> Self {
        if let Self::Failed { trouble, .. } = &mut self {
            *trouble = about;
        }
        self
    }

    /// What a failure is about; `None` for a refusal.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Failed { trouble, .. } => Some(*trouble),
            _ => None,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Conflict { hint, .. }
            | Self::Unsupported { hint, .. }
            | Self::Failed { hint, .. } => hint.as_deref(),
            Self::NotFound { kind: Thing::Network, .. } => {
                Some("`keel network ls` lists them, and `keel network create NAME` creates one")
            }
            Self::NotFound { kind: Thing::Volume, .. } => {
                Some("`keel volume ls` lists them, and `keel volume create NAME` creates one")
            }
            Self::OldGeneration { .. } | Self::NotFound { .. } | Self::Driven { .. } => None,
        }
    }
}

impl Trouble {
    /// What the kernel said, anywhere among the causes.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(trouble) = error.downcast_ref().and_then(Self::of_system) {
                return trouble;
            }
            next = error.source();
        }
        Self::Other
    }

    fn of_system(error: &io::Error) -> Option<Self> {
        use io::ErrorKind::*;
        Some(match error.kind() {
            StorageFull | QuotaExceeded => Self::DiskFull,
            ReadOnlyFilesystem => Self::ReadOnlyDisk,
            ConnectionRefused | ConnectionReset | ConnectionAborted | NotConnected
            | HostUnreachable | NetworkUnreachable | NetworkDown => Self::Network,
            OutOfMemory => Self::Exhausted,
            _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => Self::Exhausted,
            // It does not name what it wraps among its causes.
            _ => return Self::of_system(error.get_ref()?.downcast_ref()?),
        })
    }
}

/// Linux has these numbers on every architecture.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// An error on its way: its kind, and beside it the words that any version can show.
#[derive(Serialize, Deserialize)]
struct Told {
    kind: Opaque,
    message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    OldGeneration { task: TaskId, has: u64, given: u64 },
    NotFound { kind: Thing, name: String },
    Conflict,
    Driven { by: String },
    Unsupported,
    Failed(Trouble),
}

impl From<EngineError> for Told {
    fn from(error: EngineError) -> Self {
        let (message, hint) = (error.to_string(), error.hint().map(str::to_owned));
        let (kind, causes) = match error {
            EngineError::OldGeneration { task, has, given } => {
                (Kind::OldGeneration { task, has, given }, None)
            }
            EngineError::NotFound { kind, name } => (Kind::NotFound { kind, name }, None),
            EngineError::Conflict { .. } => (Kind::Conflict, None),
            EngineError::Driven { by } => (Kind::Driven { by }, None),
            EngineError::Unsupported { .. } => (Kind::Unsupported, None),
            EngineError::Failed { trouble, cause, .. } => (Kind::Failed(trouble), cause),
        };
        let kind = serde_json::to_value(kind).expect("it has string keys and no failing field");
        Self { kind, message, causes: causes.map(Cause::into_texts).unwrap_or_default(), hint }
    }
}

impl From<Told> for EngineError {
    fn from(told: Told) -> Self {
        let Told { kind, message: what, causes, hint } = told;
        let cause = Cause::from_texts(causes);
        match serde_json::from_value(kind) {
            Ok(Kind::OldGeneration { task, has, given }) => {
                Self::OldGeneration { task, has, given }
            }
            Ok(Kind::NotFound { kind, name }) => Self::NotFound { kind, name },
            Ok(Kind::Conflict) => Self::Conflict { what, hint },
            Ok(Kind::Driven { by }) => Self::Driven { by },
            Ok(Kind::Unsupported) => Self::Unsupported { what, hint },
            Ok(Kind::Failed(trouble)) => Self::Failed { trouble, what, cause, hint },
            Err(_) => Self::Failed { trouble: Trouble::Other, what, cause, hint },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the record")]
    struct Outer(#[source] io::Error);

    #[test]
    fn what_the_kernel_says_makes_the_kind() {
        let cases = [
            (io(28), Trouble::DiskFull),
            (io(122), Trouble::DiskFull),
            (io(30), Trouble::ReadOnlyDisk),
            (io(111), Trouble::Network),
            (io(24), Trouble::Exhausted),
            (io(2), Trouble::Other),
            (io::Error::other(io(28)), Trouble::DiskFull),
        ];
        for (error, trouble) in cases {
            let failed = EngineError::failed("x", Outer(error));
            assert_eq!(failed.trouble(), Some(trouble), "{failed:?}");
        }
        assert_eq!(EngineError::failed("x", "No space left").trouble(), Some(Trouble::Other));
    }

    #[test]
    fn causes_stay_in_their_order_on_the_way() {
        let failed = EngineError::failed("cannot store", Outer(io(28)));
        let text = serde_json::to_string(&failed).unwrap();
        let read: EngineError = serde_json::from_str(&text).unwrap();
        assert_eq!(read, failed);
        let first = read.source().unwrap();
        let second = first.source().unwrap();
        assert_eq!(first.to_string(), "cannot write the record");
        assert_eq!(second.to_string(), "No space left on device (os error 28)");
        assert!(second.source().is_none());
    }

    #[test]
    fn a_kind_of_a_later_version_keeps_its_words() {
        let text = r#"{"kind": {"too-hot": {"degrees": 99}}, "message": "node n1 is too hot",
                       "causes": ["fan 2 stands still"], "hint": "look after fan 2"}"#;
        let read: EngineError = serde_json::from_str(text).unwrap();
        assert_eq!(read.to_string(), "node n1 is too hot");
        assert_eq!(read.source().unwrap().to_string(), "fan 2 stands still");
        assert_eq!(read.hint(), Some("look after fan 2"));
        let text = r#"{"kind": {"failed": "sunspots"}, "message": "it failed"}"#;
        let read: EngineError = serde_json::from_str(text).unwrap();
        assert_eq!(read.trouble(), Some(Trouble::Other));
    }
}
