//! The Linux engine: runs tasks on this kernel, without a daemon of its own.
//!
//! # Parts
//! - [`Embedded`]: the contract ([`keel_engine::Engine`]) on this machine.
//! - [`RootLock`]: one driver for each root, [`Lease`]: several that take turns; [`probe`]: what this machine lacks.
//! - [`layout`] and [`record`]: where things lie, and the records that processes share.

mod adopt;
mod answering;
mod blocking;
mod clock;
mod conversation;
mod core;
mod embedded;
mod events;
mod foreign;
mod ground;
mod health;
mod images;
mod late;
pub mod layout;
mod lease;
pub mod limits;
mod lock;
mod logs;
mod mounts;
mod names;
mod namespaces;
pub mod network;
mod networks;
mod open;
mod options;
mod phase;
mod places;
mod prepare;
pub mod probe;
mod read;
mod reap;
pub mod record;
mod removal;
pub mod resolver;
mod room;
pub mod runtime;
mod setback;
pub mod shim;
mod step;
mod sys;
mod tasks;
mod update;
mod view;
mod volumes;
mod watch;
mod wishes;
mod work;

pub use answering::look;
pub use embedded::Embedded;
pub use layout::{Layout, TaskDir};
pub use lease::{Lease, Turn};
pub use lock::{Holder, LockError, RootLock};
pub use options::Options;
pub use reap::{leave_shims, reap};
pub use sys::share_arenas;
