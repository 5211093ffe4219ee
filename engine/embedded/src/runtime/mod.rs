//! A small container runtime: an OCI runtime specification in, a container out.
//!
//! # Parts, in the order in which a start passes through them
//! - `facts` looks at the host, `bundle` makes the specification from it and from the task
//! - `spawn` makes a stage process; it prepares, then clones the container's first process
//! - `cgroup` keeps the limits
//! - `init` is that process until exec: `rootfs` (`overlay`, `mounts`, `staging`, `devices`,
//!   `hidden`, `within`), `terminal`, then `execute` (`user`, `capabilities`, `seccomp`)
//! - `enter` makes a further process inside of a running container
//! - `unanswered` ends what keeps processes from dying
//!
//! # Invariants
//! - [`bundle()`] is pure: what the host is like comes in as [`HostFacts`].
//! - No async runtime is named here: a shim runs this code and stays small.
//! - Features of the kernel are probed by trying, never assumed from its version.

pub mod bundle;
mod capabilities;
pub mod cgroup;
pub mod channel;
mod dev;
pub mod enter;
mod execute;
pub mod facts;
pub mod failure;
mod hidden;
mod init;
mod mount_options;
mod mounting;
pub mod oci;
pub mod overlay;
pub mod patience;
mod rootfs;
pub mod seal;
mod seccomp;
pub mod spawn;
mod staging;
pub mod stdio;
pub mod terminal;
pub mod tiny_init;
pub mod unanswered;
mod user;
pub(crate) mod within;

pub use bundle::{Bundle, BundleError, HostFacts, HostMount, ImageFacts, bundle, change_limits};
pub use facts::{Prepare, PrepareError, prepare};
