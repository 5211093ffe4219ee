//! The contract between Evenkeel and whatever runs tasks on a node.
//!
//! Everybody who plans, records or shows speaks these types; only an [`Engine`] knows how a task
//! comes to run. One host is one engine; a pool is a map of them.
//!
//! # Invariants
//! - Nothing here does I/O, names a runtime or reads a clock.
//! - A field of a task, network or volume is named once, in [`fields`]; diff, hash, in-place
//!   update, read-back and report walk that table.
//! - A field at its default is neither stored nor hashed, so that a version that knows more keys
//!   restarts nothing.

mod assignment;
mod diff;
mod failure;
pub mod fields;
mod finding;
pub mod frames;
mod goal;
mod hash;
mod ids;
pub mod labels;
mod limits;
mod network;
mod nodes;
mod observation;
mod open;
mod sweep;
mod task;
mod value;
mod volume;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use assignment::{Assignment, Content, TaskAssignment};
pub use diff::{Difference, cost_of, diff};
pub use failure::{Failure, FailureKind};
pub use finding::{FieldPath, Finding, FindingCause, FindingField, FindingSubject, Level};
pub use goal::{Goal, Opaque, Presence};
pub use hash::{digest_of, hash_of};
pub use ids::{NameError, NodeName, Place, Slot, StackName, TaskId, short};
pub use keel_names::Digest;
pub use limits::{Limit, Limits, limits_of};
pub use network::{AddressPool, NetworkSpec, PoolSpec, stored_pools};
pub use nodes::{NodeReport, Nodes, Silent, Wish};
pub use observation::{
    Depth, ExitCause, ForeignContainer, Health, Observation, ObservedImage, ObservedNetwork,
    ObservedTask, ObservedVolume, Phase, PublishedPort,
};
pub use open::{Exec, LogOptions, Open};
pub use sweep::{Disk, Sweep, Swept, Usage};
pub use task::{
    Attachment, Capability, Device, FileMount, HealthCheck, HealthTest, Mount, MountSource,
    NetworkMode, Port, Protocol, PullPolicy, RestartPolicy, TaskSpec, Tmpfs, Ulimit,
};
pub use value::Value;
pub use volume::VolumeSpec;

/// One node, as everybody else sees it.
///
/// # Invariants
/// - [`assign`](Engine::assign) returns when the wish is on disk, not when it has come true. The
///   node works on it by itself, through its own restarts; [`Observation`] says what became of it.
/// - Assigning twice is once. A generation lower than the one that a task has is refused.
/// - Within a generation a goal only moves forward.
/// - Two tasks of one slot may live at a time (start-first), so a task is named by its own id.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What exists. [`Depth::Fields`] also reads every field back from the kernel: for drift.
    async fn observe(&self, depth: Depth) -> Result<Observation>;
    /// Hands over wishes: contents, images, networks, volumes, tasks. They are stored in the
    /// order given; one that is refused is named in the error and stops none of the others.
    async fn assign(&self, wishes: &[Assignment]) -> Result<()>;
    /// Waits for its turn, where several drive the node one after another. While it is held nobody
    /// else changes anything there.
    async fn turn(&self) -> Result<Turn> {
        Ok(Box::new(()))
    }
    /// Takes away what nothing needs. Unlike a wish it is done when this returns, and not gone on
    /// with by itself: whoever drives asks for it again and again.
    async fn sweep(&self, sweep: &Sweep) -> Result<Swept>;
    /// What takes up how much room. Slow: it looks at every file of tasks and volumes.
    async fn usage(&self) -> Result<Usage>;
    /// Hints that something changed; may skip some, and then says so ([`Event::Missed`]).
    fn events(&self) -> BoxStream<'static, Event>;
    /// What a person does with one task: logs, exec, attach, a signal. The stream speaks
    /// [`frames`].
    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>>;
}

/// A turn at a node, held until it is dropped.
pub type Turn = Box<dyn Send>;

/// A byte stream in both directions, framed by [`frames`].
#[async_trait]
pub trait Duplex: Send {
    /// The next frame; `None` when the other side is done.
    async fn receive(&mut self) -> Option<frames::Frame>;
    /// Hands a frame over; an error means that the other side is gone.
    async fn send(&mut self, frame: frames::Frame) -> std::io::Result<()>;
    /// Both directions apart, so that one side can be read while the other is written.
    fn split(self: Box<Self>) -> (Box<dyn FrameReader>, Box<dyn FrameWriter>);
}

/// The reading half of a [`Duplex`].
#[async_trait]
pub trait FrameReader: Send {
    /// The next frame; `None` when the other side is done.
    async fn receive(&mut self) -> Option<frames::Frame>;
}

/// The writing half of a [`Duplex`].
#[async_trait]
pub trait FrameWriter: Send {
    /// Hands a frame over; an error means that the other side is gone.
    async fn send(&mut self, frame: frames::Frame) -> std::io::Result<()>;
}

/// A hint, never a command: whoever hears it looks at what is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A task's state, health or phase changed.
    Task(TaskId),
    /// An image came, went or failed to come.
    Image(String),
    /// A network or volume changed.
    Resource(String),
    /// Some events were skipped: look at everything.
    Missed,
}

/// What an engine answers.
pub type Result<T> = std::result::Result<T, EngineError>;

/// Why an engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
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
    /// The target of an [`Open`] or of a wish does not exist.
    #[error("no such {kind}: {name}")]
    NotFound {
        /// `task`, `image`, `network`, `volume`.
        kind: &'static str,
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
    /// Somebody else drives the node from now on.
    #[error("{by} drives this root now")]
    Driven {
        /// Who.
        by: String,
    },
    /// The machine lacks something, or an operation failed.
    #[error("{what}")]
    Failed {
        /// What was tried, in words.
        what: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl EngineError {
    /// A failure with its cause.
    pub fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { what: what.into(), source: Some(source.into()), hint: None }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Conflict { hint, .. } | Self::Failed { hint, .. } => hint.as_deref(),
            Self::NotFound { kind: "network", .. } => {
                Some("`keel network ls` lists them, and `keel network create NAME` creates one")
            }
            Self::NotFound { kind: "volume", .. } => {
                Some("`keel volume ls` lists them, and `keel volume create NAME` creates one")
            }
            Self::OldGeneration { .. } | Self::NotFound { .. } | Self::Driven { .. } => None,
        }
    }
}
