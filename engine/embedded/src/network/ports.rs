//! Published ports.

use crate::layout::Layout;
use keel_engine::{Port, Protocol, PublishedPort};

/// A published port and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who shares it: tasks of one service (`STACK/SERVICE`) may publish the same port together.
    pub owner: String,
    /// The port.
    pub port: PublishedPort,
}

/// Why a port cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("port {published}/{protocol} on {host_ip} is taken by {holder}")]
#[non_exhaustive]
pub struct PortTaken {
    /// Port on the host.
    pub published: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Address of the host.
    pub host_ip: String,
    /// A service, a program with its pid, or `another program`.
    pub holder: String,
}

/// Finds out under which port a task's `wanted` is published. `claims` are those of the root's
/// other tasks, `preferred` the ports of the task before it in the slot (for one that the node
/// chooses). Looks at the host: binds a socket and lets go. `keel net` holds the port from when
/// it is in the task's `work`.
pub fn publish(
    layout: &Layout,
    owner: &str,
    wanted: &[Port],
    claims: &[Claim],
    preferred: &[PublishedPort],
) -> Result<Vec<PublishedPort>, PortTaken> {
    todo!()
}
