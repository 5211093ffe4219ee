//! Which subnet a network gets, and which address a task. Pure: the host's facts come in as data.

use super::Network;
use crate::root::record::Endpoint;
use keel_engine::{Attachment, NetworkSpec, TaskId, TaskSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 subnet; `172.20.0.0/16` in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// The subnet that an address belongs to; bits beyond the prefix are cut.
    #[must_use]
    pub fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix }
    }

    /// Length of the prefix.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        Self::of(address, self.prefix) == *self
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() | !mask(self.prefix))
    }

    /// The addresses that something may have, in order: without the first and the last.
    fn usable(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (self.base.to_bits().saturating_add(1)..self.broadcast().to_bits()).map(Ipv4Addr::from_bits)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl TryFrom<String> for Subnet {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 32)?;
            Some(Self::of(address.parse().ok()?, prefix))
        });
        parsed.ok_or(AddressError::Invalid { given: text, wanted: "an IPv4 subnet" })
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// Why an address or subnet cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not an address, or not a subnet.
    #[error("`{given}` is not {wanted}")]
    Invalid {
        /// As written.
        given: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A fixed address that another task has.
    #[error("address {address} in network `{network}` is taken by {holder}")]
    Taken {
        /// The address.
        address: Ipv4Addr,
        /// Where.
        network: String,
        /// By whom: a container's name, or `the gateway`.
        holder: String,
    },
    /// An address that does not lie in its network, or is not one that something may have.
    #[error("address {address} is not usable in network `{network}` ({subnet})")]
    Outside {
        /// The address.
        address: Ipv4Addr,
        /// Where.
        network: String,
        /// Its addresses.
        subnet: Subnet,
    },
    /// Every address of the network is taken.
    #[error("network `{network}` ({subnet}) has no free address left")]
    Full {
        /// The network.
        network: String,
        /// Its addresses.
        subnet: Subnet,
    },
    /// A subnet that something else on this host has.
    #[error("subnet {subnet} of network `{network}` overlaps {other}")]
    Overlap {
        /// The network.
        network: String,
        /// As asked for.
        subnet: Subnet,
        /// What is there: a network of ours, or a route of the host.
        other: String,
    },
    /// Every pool is used up.
    #[error(
        "no free subnet for network `{network}` in 172.20.0.0 to 172.31.255.255 and 192.168.0.0/16"
    )]
    NoSubnet {
        /// The network.
        network: String,
    },
    /// A task names a network that is not there.
    #[error("network `{network}` does not exist")]
    NoNetwork {
        /// Its name.
        network: String,
    },
}

impl AddressError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { holder, .. } if holder == GATEWAY => {
                Some("choose another `ipv4_address`, or give the network another `gateway`".into())
            }
            Self::Taken { holder, .. } => Some(format!(
                "where {holder} does not ask for it, `keel stop {holder}` and `keel start {holder}` give it another one; else choose another `ipv4_address`"
            )),
            Self::Overlap { .. } | Self::NoSubnet { .. } => {
                Some("give the network a `subnet` that nothing else on this host uses".into())
            }
            Self::Full { .. } => Some("give the network a larger `subnet`".into()),
            Self::Invalid { .. } | Self::Outside { .. } | Self::NoNetwork { .. } => None,
        }
    }
}

/// Who has the first address of most networks.
const GATEWAY: &str = "the gateway";

/// What of the host's addresses is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    /// Networks of this root: name and subnet.
    pub networks: Vec<(String, Subnet)>,
    /// Destinations of the host's routes and subnets of its addresses (Docker's and other roots'
    /// networks among them).
    pub routes: Vec<Subnet>,
    /// The host's name servers.
    pub name_servers: Vec<Ipv4Addr>,
}

/// The subnet and gateway for a new network: as asked for, else the first free of the ranges that
/// Docker has too (its default network, 172.17.0.0/16, and the next two are left to it). Each gets
/// 4,094 addresses, so that hosts have room for some two hundred networks; Docker ends after 31.
pub fn choose_subnet(spec: &NetworkSpec, used: &InUse) -> Result<(Subnet, Ipv4Addr), AddressError> {
    let subnet = match &spec.subnet {
        Some(text) => fixed_subnet(spec, Subnet::try_from(text.clone())?, used)?,
        None => free_subnet(used)
            .ok_or_else(|| AddressError::NoSubnet { network: spec.name.clone() })?,
    };
    let gateway = match &spec.gateway {
        Some(text) => parse_address(text)?,
        None => subnet.usable().next().unwrap_or(subnet.base),
    };
    if !usable(subnet, gateway) {
        let network = spec.name.clone();
        return Err(AddressError::Outside { address: gateway, network, subnet });
    }
    Ok((subnet, gateway))
}

fn fixed_subnet(spec: &NetworkSpec, subnet: Subnet, used: &InUse) -> Result<Subnet, AddressError> {
    let network = used.networks.iter().find(|(_, other)| other.overlaps(&subnet));
    let route = used.routes.iter().find(|other| other.overlaps(&subnet));
    let other = match (network, route) {
        (Some((name, other)), _) => format!("network `{name}` ({other})"),
        (None, Some(other)) => format!("the host's route to {other}"),
        (None, None) => return Ok(subnet),
    };
    Err(AddressError::Overlap { network: spec.name.clone(), subnet, other })
}

fn free_subnet(used: &InUse) -> Option<Subnet> {
    let sixteen = |first, second| {
        (0..16).map(move |part| Subnet::of(Ipv4Addr::new(first, second, part * 16, 0), 20))
    };
    let mut all = (20..32).flat_map(|second| sixteen(172, second)).chain(sixteen(192, 168));
    all.find(|subnet| {
        !used.networks.iter().any(|(_, other)| other.overlaps(subnet))
            && !used.routes.iter().any(|other| other.overlaps(subnet))
            && !used.name_servers.iter().any(|server| subnet.contains(*server))
    })
}

fn usable(subnet: Subnet, address: Ipv4Addr) -> bool {
    subnet.contains(address) && address != subnet.base && address != subnet.broadcast()
}

fn parse_address(text: &str) -> Result<Ipv4Addr, AddressError> {
    text.parse()
        .map_err(|_| AddressError::Invalid { given: text.into(), wanted: "an IPv4 address" })
}

/// What others have of a root's addresses.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The endpoints of other tasks, each with the name to print in a conflict.
    pub held: Vec<(String, Endpoint)>,
    /// Addresses that other tasks are to have, by network.
    pub promised: Vec<(String, String)>,
}

/// A task's place in each of its networks, in order. `networks` by full name; `taken` are the
/// endpoints of the root's other tasks with the name to print in a conflict; `preferred` those of
/// the task before it in the slot (used where free). What is promised to others goes to nobody by
/// chance.
///
/// Names in each network: the attachment's aliases, the container's name, the short id, in this
/// order.
pub fn endpoints(
    id: &TaskId,
    spec: &TaskSpec,
    networks: &BTreeMap<String, Network>,
    taken: &Taken,
    preferred: &[Endpoint],
) -> Result<Vec<Endpoint>, AddressError> {
    let mut endpoints = Vec::new();
    for (number, attachment) in spec.networks.iter().enumerate() {
        let name = &attachment.network;
        let network =
            networks.get(name).ok_or_else(|| AddressError::NoNetwork { network: name.clone() })?;
        let address = allocate(network, attachment, taken, preferred)?;
        let routed = !network.internal
            && !endpoints.iter().any(|earlier: &Endpoint| earlier.gateway.is_some());
        endpoints.push(Endpoint {
            network: name.clone(),
            bridge: network.bridge.clone(),
            interface: format!("eth{number}"),
            ipv4: address.to_string(),
            prefix: network.subnet.prefix,
            gateway: routed.then(|| network.gateway.to_string()),
            mac: mac_text(hardware_address(address)),
            names: names(id, spec, attachment),
        });
    }
    Ok(endpoints)
}

fn allocate(
    network: &Network,
    attachment: &Attachment,
    taken: &Taken,
    preferred: &[Endpoint],
) -> Result<Ipv4Addr, AddressError> {
    let mut holders: BTreeMap<Ipv4Addr, &str> = taken
        .held
        .iter()
        .filter(|(_, endpoint)| endpoint.network == network.name)
        .filter_map(|(holder, endpoint)| Some((endpoint.ipv4.parse().ok()?, holder.as_str())))
        .collect();
    holders.insert(network.gateway, GATEWAY);
    if let Some(text) = &attachment.ipv4_address {
        return fixed(network, parse_address(text)?, &holders);
    }
    let promised = taken.promised.iter().filter(|(other, _)| *other == network.name);
    for address in promised.filter_map(|(_, address)| address.parse().ok()) {
        holders.entry(address).or_insert("whom it is promised to");
    }
    let old = preferred
        .iter()
        .filter(|endpoint| endpoint.network == network.name)
        .filter_map(|endpoint| endpoint.ipv4.parse().ok())
        .find(|old| usable(network.subnet, *old));
    old.into_iter()
        .chain(network.subnet.usable())
        .find(|address| !holders.contains_key(address))
        .ok_or_else(|| AddressError::Full { network: network.name.clone(), subnet: network.subnet })
}

fn fixed(
    network: &Network,
    address: Ipv4Addr,
    holders: &BTreeMap<Ipv4Addr, &str>,
) -> Result<Ipv4Addr, AddressError> {
    let (name, subnet) = (network.name.clone(), network.subnet);
    if !usable(subnet, address) {
        return Err(AddressError::Outside { address, network: name, subnet });
    }
    match holders.get(&address) {
        Some(holder) => {
            Err(AddressError::Taken { address, network: name, holder: (*holder).to_owned() })
        }
        None => Ok(address),
    }
}

/// From the address, as docker does: whoever keeps its address keeps this, and no neighbour's
/// table goes stale.
pub(super) fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [2, 0x42, a, b, c, d]
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn names(id: &TaskId, spec: &TaskSpec, attachment: &Attachment) -> Vec<String> {
    let own = [spec.container_name.as_str(), id.short()];
    let mut names: Vec<String> = Vec::new();
    for name in attachment.aliases.iter().map(String::as_str).chain(own) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::try_from(text.to_owned()).unwrap()
    }

    fn network(name: &str, text: &str) -> Network {
        let subnet = subnet(text);
        let gateway = subnet.usable().next().unwrap();
        Network { name: name.into(), bridge: "br".into(), subnet, gateway, internal: false }
    }

    fn task(network: &str, address: Option<&str>) -> TaskSpec {
        let ipv4_address = address.map(str::to_owned);
        let aliases = vec!["web".into(), "www".into()];
        TaskSpec {
            container_name: "blog-web-1".into(),
            networks: vec![Attachment { network: network.into(), aliases, ipv4_address }],
            ..TaskSpec::default()
        }
    }

    fn place(
        spec: &TaskSpec,
        networks: &[Network],
        taken: &[(&str, &str)],
        old: Option<&str>,
    ) -> Result<Vec<Endpoint>, AddressError> {
        let networks = networks.iter().map(|n| (n.name.clone(), n.clone())).collect();
        let endpoint = |address: &str| Endpoint {
            network: "blog".into(),
            ipv4: address.into(),
            ..Endpoint::default()
        };
        let (promised, held): (Vec<_>, Vec<_>) =
            taken.iter().partition(|(who, _)| *who == "promised");
        let held = held.iter().map(|(who, at)| ((*who).into(), endpoint(at))).collect();
        let promised = promised.iter().map(|(_, at)| ("blog".into(), (*at).into())).collect();
        let taken = Taken { held, promised };
        let old: Vec<_> = old.into_iter().map(endpoint).collect();
        endpoints(&TaskId::from_seed("x"), spec, &networks, &taken, &old)
    }

    #[test]
    fn a_subnet_is_chosen_around_what_is_in_use() {
        let spec = NetworkSpec { name: "blog".into(), ..NetworkSpec::default() };
        let choose = |used: &InUse| choose_subnet(&spec, used).map(|(s, g)| format!("{s} {g}"));
        let used = InUse::default();
        assert_eq!(choose(&used).unwrap(), "172.20.0.0/20 172.20.0.1");
        let used = InUse {
            networks: vec![("a".into(), subnet("172.20.0.0/16"))],
            routes: vec![subnet("172.21.7.0/24"), subnet("172.21.16.0/21")],
            name_servers: vec![Ipv4Addr::new(172, 21, 32, 9)],
        };
        assert_eq!(choose(&used).unwrap(), "172.21.48.0/20 172.21.48.1");
        let used = InUse { routes: vec![subnet("172.16.0.0/12")], ..InUse::default() };
        assert_eq!(choose(&used).unwrap(), "192.168.0.0/20 192.168.0.1");
        let mut many = InUse::default();
        for number in 0..200 {
            let (subnet, _) = choose_subnet(&spec, &many).expect("there is room for every stack");
            many.networks.push((number.to_string(), subnet));
        }
        let routes = vec![subnet("172.16.0.0/12"), subnet("192.168.0.0/16")];
        let used = InUse { routes, ..InUse::default() };
        assert!(matches!(choose(&used), Err(AddressError::NoSubnet { .. })));
    }

    #[test]
    fn a_subnet_that_was_asked_for_is_checked() {
        let spec = |subnet: &str, gateway: Option<&str>| NetworkSpec {
            name: "blog".into(),
            subnet: Some(subnet.into()),
            gateway: gateway.map(str::to_owned),
            ..NetworkSpec::default()
        };
        let used = InUse {
            networks: vec![("a".into(), subnet("10.1.0.0/16"))],
            routes: vec![subnet("10.2.0.0/24")],
            ..InUse::default()
        };
        let cases = [
            (spec("10.3.0.0/24", None), "10.3.0.0/24 10.3.0.1"),
            (spec("10.3.0.0/24", Some("10.3.0.254")), "10.3.0.0/24 10.3.0.254"),
            (
                spec("10.3.0.0/24", Some("10.4.0.1")),
                "address 10.4.0.1 is not usable in network `blog` (10.3.0.0/24)",
            ),
            (
                spec("10.1.9.0/24", None),
                "subnet 10.1.9.0/24 of network `blog` overlaps network `a` (10.1.0.0/16)",
            ),
            (
                spec("10.2.0.0/16", None),
                "subnet 10.2.0.0/16 of network `blog` overlaps the host's route to 10.2.0.0/24",
            ),
            (spec("10.2.0.0", None), "`10.2.0.0` is not an IPv4 subnet"),
        ];
        for (spec, expected) in cases {
            let got = choose_subnet(&spec, &used);
            let got = got.map_or_else(|error| error.to_string(), |(s, g)| format!("{s} {g}"));
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn an_address_is_fixed_or_old_or_the_first_free() {
        let blog = [network("blog", "10.0.0.0/29")];
        let free = task("blog", None);
        let cases = [
            (task("blog", None), vec![], None, "10.0.0.2"),
            (free.clone(), vec![("a", "10.0.0.2")], None, "10.0.0.3"),
            (free.clone(), vec![("a", "10.0.0.2")], Some("10.0.0.5"), "10.0.0.5"),
            (free.clone(), vec![("a", "10.0.0.5")], Some("10.0.0.5"), "10.0.0.2"),
            (free.clone(), vec![], Some("10.9.0.5"), "10.0.0.2"),
            (free.clone(), vec![("promised", "10.0.0.2")], None, "10.0.0.3"),
            (free.clone(), vec![("promised", "10.0.0.5")], Some("10.0.0.5"), "10.0.0.2"),
            (task("blog", Some("10.0.0.6")), vec![("promised", "10.0.0.6")], None, "10.0.0.6"),
            (task("blog", Some("10.0.0.6")), vec![("a", "10.0.0.2")], None, "10.0.0.6"),
            (
                task("blog", Some("10.0.0.6")),
                vec![("a-db-1", "10.0.0.6")],
                None,
                "address 10.0.0.6 in network `blog` is taken by a-db-1",
            ),
            (
                task("blog", Some("10.0.0.1")),
                vec![],
                None,
                "address 10.0.0.1 in network `blog` is taken by the gateway",
            ),
            (
                task("blog", Some("10.0.0.7")),
                vec![],
                None,
                "address 10.0.0.7 is not usable in network `blog` (10.0.0.0/29)",
            ),
            (
                free,
                (2..7)
                    .map(|n| {
                        ("a", ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"][n - 2])
                    })
                    .collect(),
                None,
                "network `blog` (10.0.0.0/29) has no free address left",
            ),
            (task("shop", None), vec![], None, "network `shop` does not exist"),
        ];
        for (spec, taken, old, expected) in cases {
            let got = place(&spec, &blog, &taken, old);
            let got = got.map_or_else(|error| error.to_string(), |e| e[0].ipv4.clone());
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn only_the_first_network_with_a_way_out_gives_a_route() {
        let inner = Network { internal: true, ..network("inner", "10.0.0.0/24") };
        let networks = [inner, network("blog", "10.0.1.0/24"), network("shop", "10.0.2.0/24")];
        let mut spec = task("inner", None);
        for name in ["blog", "shop"] {
            spec.networks.push(Attachment { network: name.into(), ..Attachment::default() });
        }
        let got = place(&spec, &networks, &[], None).unwrap();
        let gateways: Vec<_> =
            got.iter().map(|e| (e.interface.as_str(), e.gateway.as_deref())).collect();
        assert_eq!(gateways, [("eth0", None), ("eth1", Some("10.0.1.1")), ("eth2", None)]);
        assert_eq!(got[0].mac, "02:42:0a:00:00:02");
        let short = TaskId::from_seed("x").short().to_owned();
        assert_eq!(got[0].names, ["web", "www", "blog-web-1", &short]);
        assert_eq!(got[1].names, ["blog-web-1", &short]);
    }

    #[test]
    fn a_subnet_comes_back_from_its_stored_form() {
        let text = serde_json::to_string(&subnet("10.1.2.3/24")).unwrap();
        assert_eq!(text, "\"10.1.2.0/24\"");
        assert_eq!(serde_json::from_str::<Subnet>(&text).unwrap(), subnet("10.1.2.0/24"));
        assert!(serde_json::from_str::<Subnet>("\"10.1.2.0/33\"").is_err());
    }
}
