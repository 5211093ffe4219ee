//! What content, images, capabilities, signals, addresses, drivers and nodes are called: the one reading of names that
//! files, people, registries and the kernel share. Pure.

pub mod address;
pub mod capability;
pub mod constraint;
pub mod digest;
pub mod driver;
pub mod platform;
pub mod reference;
pub mod signal;

pub use digest::{Digest, DigestError};
pub use reference::{Reference, ReferenceError, ReferenceProblem};
