//! Which networks a service is on, and under which names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a service is reached, and what it can reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networking {
    /// Its networks, or what it has in their place.
    pub mode: NetworkMode,
    /// `extra_hosts`, in order; a host may have several addresses.
    pub extra_hosts: Vec<ExtraHost>,
    /// `dns` servers.
    pub dns: Vec<IpAddr>,
    /// `dns_search`.
    pub dns_search: Vec<String>,
    /// `dns_opt`.
    pub dns_opt: Vec<String>,
}

/// `networks`, or `network_mode` in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// These networks of the stack, by key.
    Networks(BTreeMap<String, Attachment>),
    /// The host's own network.
    Host,
    /// Loopback only.
    None,
    /// That of another service's container.
    Service(String),
    /// The engine's shared bridge. Its service is held.
    Bridge,
    /// That of a container by name. Its service is held.
    Container(String),
}

impl Default for NetworkMode {
    fn default() -> Self {
        Self::Networks(BTreeMap::new())
    }
}

/// A service on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Further names of the service there.
    pub aliases: Vec<String>,
    /// The fixed address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// The fixed IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// The hardware address.
    pub mac_address: Option<String>,
    /// Which network is joined first: the highest.
    pub priority: i64,
}

/// A line for `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtraHost {
    /// The name.
    pub host: String,
    /// Its address.
    pub address: Address,
}

/// An address that is known now, or found out later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// This one.
    Ip(IpAddr),
    /// `host-gateway`: the host as the container sees it.
    HostGateway,
}
