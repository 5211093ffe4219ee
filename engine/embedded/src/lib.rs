//! The Linux engine: namespaces, cgroups, overlayfs, networks, DNS, volumes.

pub mod layout;
pub mod record;
pub mod runtime;
pub mod shim;
mod sys;
