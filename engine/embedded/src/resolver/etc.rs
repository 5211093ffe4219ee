//! The files that are bound over a container's own: hosts, resolv.conf, hostname. Pure.

use crate::record::Endpoint;
use keel_engine::{TaskId, TaskSpec};

/// Contents for `tasks/ID/etc/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etc {
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// `/etc/hostname`.
    pub hostname: String,
}

/// The host's own files, read by the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFiles<'a> {
    /// `/etc/hosts`.
    pub hosts: &'a str,
    /// `/etc/resolv.conf`.
    pub resolv_conf: &'a str,
    /// The host's name.
    pub hostname: &'a str,
}

/// What a task finds in /etc. `endpoints` of the task whose namespace it is. `gateway` is what
/// `host-gateway` means: the first network's [`gateway`](crate::network::Network::gateway).
#[must_use]
pub fn etc(
    id: &TaskId,
    spec: &TaskSpec,
    endpoints: &[Endpoint],
    gateway: Option<std::net::Ipv4Addr>,
    host: HostFiles<'_>,
) -> Etc {
    todo!()
}

/// The container's host name.
#[must_use]
pub fn hostname(id: &TaskId, spec: &TaskSpec) -> String {
    spec.hostname.clone().unwrap_or_else(|| id.short().to_owned())
}
