//! The Linux engine: runs tasks on this kernel, without a daemon of its own.
//!
//! # Parts
//! - [`Embedded`]: the contract ([`keel_engine::Engine`]) on this machine.
//! - [`RootLock`]: one driver for each root; [`probe`]: what this machine lacks.
//! - [`layout`] and [`record`]: where things lie, and the records that processes share.

mod clock;
mod conversation;
mod embedded;
pub mod layout;
mod lock;
mod logs;
pub mod network;
mod options;
mod phase;
pub mod probe;
pub mod record;
pub mod resolver;
pub mod runtime;
pub mod shim;
mod step;
mod sys;
mod tasks;
mod watch;

pub use embedded::Embedded;
pub use layout::{Layout, TaskDir};
pub use lock::{Holder, LockError, RootLock};
pub use options::Options;
