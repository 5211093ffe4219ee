//! Ports that are published, or only said to exist.

use std::fmt;
use std::net::IpAddr;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The host's address to listen on; absent: all of them.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub published: Published,
    /// The container's port.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// What a port is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Published {
    /// Any free one.
    Any,
    /// This one.
    Port(u16),
    /// A free one of these, both ends included. Its service is held.
    Range(u16, u16),
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP. Its service is held.
    Sctp,
}

/// `tcp`, `udp`, `sctp`.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port that the service listens on, for people and proxies to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposed {
    /// The container's port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}
