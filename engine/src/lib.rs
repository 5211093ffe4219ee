//! The contract between Evenkeel and whatever runs tasks on a node.
//!
//! Everybody who plans, records or shows speaks these types; only an [`Engine`] knows how a task
//! comes to run. One host is one engine; a pool is a map of them.
//!
//! # Invariants
//! - Nothing here does I/O, names a runtime or reads a clock.
//! - Whatever an [`Engine`] takes and answers can travel ([`wire`]).
//! - A field of a task, network or volume is named once, in [`fields`]; diff, hash, in-place
//!   update, read-back and report walk that table.
//! - A field at its default is neither stored nor hashed, so that a version that knows more keys
//!   restarts nothing.

mod assignment;
mod availability;
mod cause;
mod content;
mod diff;
mod difference;
mod error;
mod event;
mod failure;
pub mod fields;
mod finding;
pub mod frames;
mod goal;
mod halves;
mod hash;
mod host;
mod ids;
pub mod labels;
mod lease;
mod limits;
mod login;
mod network;
mod nodes;
mod observation;
mod open;
mod sweep;
mod task;
pub mod tree;
mod turn;
mod value;
mod volume;
pub mod wire;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use assignment::{Assignment, TaskAssignment};
pub use availability::Availability;
pub use cause::Cause;
pub use content::Content;
pub use diff::{diff, is_in_reach};
pub use difference::{Difference, cost_of};
pub use error::{EngineError, Result, Thing, Trouble};
pub use event::Event;
pub use failure::{
    AddressError, AddressHolder, Failure, FailureKind, MountError, PortError, PortHolder,
    stored_failure,
};
pub use finding::{FieldPath, Finding, FindingCause, FindingField, FindingSubject, Level};
pub use goal::{Goal, Opaque, Presence};
pub use halves::Halves;
pub use hash::{digest_of, hash_of};
pub use host::{HostDevices, HostFacts, KernelLimit, KernelLimits};
pub use ids::{NameError, NodeName, Place, Slot, StackName, TaskId, short};
pub use keel_names::Digest;
pub use lease::Lease;
pub use limits::{Limit, Limits, limits_of};
pub use login::{LentLogin, Login};
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
pub use tree::Tree;
pub use turn::Turn;
pub use value::Value;
pub use volume::VolumeSpec;

/// One node, as everybody else sees it.
///
/// # Invariants
/// - [`assign`](Engine::assign) returns when the wish is on disk, not when it has come true. The
///   node works on it by itself, through its own restarts; [`Observation`] says what became of it.
/// - Assigning twice is once. A generation lower than the one that a task has is refused.
/// - Within a generation a goal only moves forward.
/// - What comes without a lease is done under one that the node grants for it alone.
/// - Two tasks of one slot may live at a time (start-first), so a task is named by its own id.
#[async_trait]
pub trait Engine: Send + Sync {
    /// What exists. [`Depth::Fields`] also reads every field back from the kernel: for drift.
    async fn observe(&self, depth: Depth) -> Result<Observation>;
    /// Hands over wishes: contents, files, images, networks, volumes, tasks. They are stored in the
    /// order given; one that is refused is named in the error and stops none of the others.
    async fn assign(&self, wishes: &[Assignment]) -> Result<()>;
    /// The same under a lease: refused whole once that is over.
    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()>;
    /// Waits for a lease, where several drive the node one after another. While one is held nobody
    /// else changes anything there. [`Turn`] is one that releases itself.
    async fn lease(&self) -> Result<Lease>;
    /// Says that a lease is still wanted; refused once it is over.
    async fn renew(&self, lease: &Lease) -> Result<()>;
    /// Gives a lease back. Waits for nothing, and one that is over is no matter.
    fn release(&self, lease: &Lease);
    /// Takes away what nothing needs. Unlike a wish it is done when this returns, and not gone on
    /// with by itself: whoever drives asks for it again and again.
    async fn sweep(&self, sweep: &Sweep) -> Result<Swept>;
    /// The same under a lease.
    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept>;
    /// What takes up how much room. Slow: it looks at every file of tasks and volumes.
    async fn usage(&self) -> Result<Usage>;
    /// The content or tree that it has under this digest, to be handed on to another node. Only the controller's
    /// own node is asked: the wire has no such question, so that no node ever gives a secret back.
    async fn handed(&self, digest: &Digest) -> Result<Option<Assignment>> {
        let _ = digest;
        Ok(None)
    }
    /// The login that it has for a registry, to be lent to another node. Only the controller's own node is asked: the
    /// wire has no such question.
    async fn login_for(&self, registry: &str) -> Result<Option<Login>> {
        let _ = registry;
        Ok(None)
    }
    /// Lends logins for pulls of these images. No wish: they are in memory only, take precedence over what the node
    /// has itself, and are dropped when the image is there, or when neither a pull nor a task needs it any more.
    async fn lend(&self, logins: &[LentLogin]) -> Result<()>;
    /// Hints that something changed; may skip some, and then says so ([`Event::Missed`]).
    fn events(&self) -> BoxStream<'static, Event>;
    /// What a person does with one task: logs, exec, attach, a signal. The stream speaks
    /// [`frames`].
    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>>;
}

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
