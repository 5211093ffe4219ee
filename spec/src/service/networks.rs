//! Which networks a service is on, and under which names.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::code::Code;
use crate::decode::Field;

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

/// The network that a service is on when it says nothing.
pub(crate) const DEFAULT: &str = "default";

impl Networking {
    /// Reads the topic's keys.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let texts = |key| service.get(key).map(|field| field.texts()).unwrap_or_default();
        let hosts = service.get("extra_hosts").map(|field| field.list()).unwrap_or_default();
        let servers = service.get("dns").map(|field| field.list()).unwrap_or_default();
        let server = |field: &Field<'_>| match field.item.text() {
            None | Some("") => None,
            Some(_) => field.parsed("an IP address", |text| text.parse().ok()),
        };
        Self {
            mode: NetworkMode::decode(service),
            extra_hosts: hosts.iter().filter_map(extra_host).collect(),
            dns: servers.iter().filter_map(server).collect(),
            dns_search: texts("dns_search"),
            dns_opt: texts("dns_opt"),
        }
    }
}

impl NetworkMode {
    fn decode(service: &Field<'_>) -> Self {
        let networks = service.get("networks").map(|field| (field.entries(), field));
        let Some(mode) = service.given("network_mode") else {
            return Self::attached(networks.map(|(entries, _)| entries).unwrap_or_default());
        };
        if let Some((_, field)) = networks.filter(|(entries, _)| !entries.is_empty()) {
            let message = format!("{} cannot be used with `network_mode`", field.name());
            field.refuse(Code::Conflict, message);
        }
        let Some(text) = mode.text() else { return Self::default() };
        match text.split_once(':') {
            Some(("service", name)) => Self::Service(name.to_owned()),
            Some(("container", name)) => {
                mode.hold("another container's network is not shared");
                Self::Container(name.to_owned())
            }
            _ => Self::word(&mode, &text),
        }
    }

    fn word(mode: &Field<'_>, text: &str) -> Self {
        match text {
            "host" => Self::Host,
            "none" => Self::None,
            "bridge" | "default" => {
                mode.hold("there is no bridge shared between stacks");
                Self::Bridge
            }
            _ => {
                mode.hold("a network is joined by `networks`, declared as `external`");
                Self::None
            }
        }
    }

    fn attached(entries: Vec<(&str, Field<'_>)>) -> Self {
        if entries.is_empty() {
            return Self::Networks(BTreeMap::from([(DEFAULT.to_owned(), Attachment::default())]));
        }
        let one = |(name, field): (&str, Field<'_>)| {
            field.scope.origin(field.path.clone(), field.key);
            (name.to_owned(), Attachment::decode(&field))
        };
        Self::Networks(entries.into_iter().map(one).collect())
    }
}

impl Attachment {
    fn decode(field: &Field<'_>) -> Self {
        if field.item.is_null() {
            return Self::default();
        }
        if !matches!(field.item.node, crate::item::Node::Map(_)) {
            field.wrong::<()>("a mapping");
        }
        let get = |key| field.given(key);
        Self {
            aliases: get("aliases").map(|field| field.texts()).unwrap_or_default(),
            ipv4_address: get("ipv4_address")
                .and_then(|field| field.parsed("an IPv4 address", |text| text.parse().ok())),
            ipv6_address: get("ipv6_address")
                .and_then(|field| field.parsed("an IPv6 address", |text| text.parse().ok())),
            mac_address: get("mac_address").and_then(|field| field.text()),
            priority: get("priority").and_then(|field| field.whole()).unwrap_or_default(),
        }
    }
}

/// `host=address`, `host:address`; an IPv6 address may be in brackets.
fn extra_host(field: &Field<'_>) -> Option<ExtraHost> {
    let text = field.text()?;
    let split = text.find('=').or_else(|| text.find(':'));
    let wanted = "`HOST=ADDRESS`, with an IP address or `host-gateway`";
    let Some(split) = split else { return field.bad(wanted) };
    let (host, address) = (text[..split].trim(), text[split + 1..].trim());
    if host.is_empty() || host.contains(char::is_whitespace) {
        return field.bad(wanted);
    }
    let plain =
        address.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(address);
    let address = match plain {
        "host-gateway" => Address::HostGateway,
        plain => Address::Ip(plain.parse().ok().or_else(|| field.bad(wanted))?),
    };
    Some(ExtraHost { host: host.to_owned(), address })
}
