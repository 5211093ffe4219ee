//! A small container runtime: an OCI runtime specification in, a container out.
//!
//! # Invariants
//! - [`bundle()`] is pure: what the host is like comes in as [`HostFacts`].
//! - No async runtime is named here: a shim runs this code and stays small.

pub mod bundle;
pub mod cgroup;
pub mod enter;
pub mod facts;

pub use bundle::{Bundle, BundleError, HostFacts, HostMount, ImageFacts, bundle};
pub use facts::{Prepare, PrepareError, prepare};
