//! The Linux engine: namespaces, cgroups, overlayfs, networks, DNS, volumes.

pub mod layout;
pub mod network;
pub mod record;
pub mod resolver;
