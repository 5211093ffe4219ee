//! The Linux engine: runs tasks on this kernel, without a daemon of its own.
//!
//! # Parts
//! - [`Embedded`]: the contract ([`keel_engine::Engine`]) on this machine.
//! - [`RootLock`]: one driver for each root, [`RootLease`]: several that take turns; [`probe`]: what this machine lacks.
//! - [`layout`] and [`record`]: where things lie, and the records that processes share.

mod blocking;
mod clock;
mod desk;
mod embedded;
mod images;
pub mod lab;
pub mod network;
mod options;
pub mod resolver;
mod root;
pub mod runtime;
mod session;
pub mod shim;
mod sweeping;
mod sys;
mod task;
mod view;
mod volumes;

pub use embedded::Embedded;
pub use options::Options;
pub use root::contents::keep_in_memory;
pub use root::layout::{Layout, TaskDir};
pub use root::lease::{RootLease, Turn};
pub use root::lock::{Holder, LockError, RootLock};
pub use root::reap::{leave_shims, reap};
pub use root::{layout, limits, probe, record};
pub use sys::share_arenas;
pub use task::answering::look;
