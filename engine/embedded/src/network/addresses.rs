//! Which addresses a task gets of its networks. Pure: what others have comes in as data.

use super::Network;
use super::pools::{is_usable, usable_in};
use crate::root::record::Endpoint;
use ipnet::IpNet;
use keel_engine::{AddressError, AddressHolder, AddressPool, Attachment, TaskId, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What others have of a root's addresses.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The endpoints of other tasks, each with the name to print in a conflict.
    pub held: Vec<(String, Endpoint)>,
    /// Addresses that other tasks are to have, by network.
    pub promised: Vec<(String, IpAddr)>,
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
        let addresses = allocate(network, attachment, taken, preferred)?;
        let routed = !network.internal && !endpoints.iter().any(Endpoint::leads_out);
        let gateways = network.pools.iter().filter_map(|pool| pool.gateway);
        let mac = addresses.first().map(|first| mac_text(hardware_address(first.addr())));
        endpoints.push(Endpoint {
            network: name.clone(),
            driver: network.driver.clone(),
            link: network.link.clone(),
            interface: format!("eth{number}"),
            addresses,
            gateways: gateways.filter(|_| routed).collect(),
            mac: mac.unwrap_or_default(),
            names: names(id, spec, attachment),
        });
    }
    Ok(endpoints)
}

/// One address of each of the network's pools.
fn allocate(
    network: &Network,
    attachment: &Attachment,
    taken: &Taken,
    preferred: &[Endpoint],
) -> Result<Vec<IpNet>, AddressError> {
    let usable = |address: IpAddr| network.pools.iter().any(|pool| is_usable(pool.subnet, address));
    if let Some(address) = attachment.addresses.iter().copied().find(|fixed| !usable(*fixed)) {
        let (network, subnet) = (network.name.clone(), subnets(network));
        return Err(AddressError::Outside { address, network, subnet });
    }
    let pick = |pool: &AddressPool| {
        let fixed = attachment.addresses.iter().find(|fixed| pool.subnet.contains(*fixed));
        let address = match fixed {
            Some(fixed) => fixed_address(network, *fixed, &holders(network, taken))?,
            None => free_address(network, pool, taken, preferred)?,
        };
        let full = IpNet::new(address, pool.subnet.prefix_len());
        Ok(full.expect("a subnet's prefix fits its addresses"))
    };
    network.pools.iter().map(pick).collect()
}

/// Who has which of a network's addresses.
fn holders(network: &Network, taken: &Taken) -> BTreeMap<IpAddr, AddressHolder> {
    let held = taken.held.iter().filter(|(_, endpoint)| endpoint.network == network.name);
    let held = held.flat_map(|(holder, endpoint)| {
        let held = |address: &IpNet| (address.addr(), AddressHolder::Container(holder.clone()));
        endpoint.addresses.iter().map(held)
    });
    let gateways = network.pools.iter().filter_map(|pool| pool.gateway);
    held.chain(gateways.map(|gateway| (gateway, AddressHolder::Gateway))).collect()
}

fn fixed_address(
    network: &Network,
    address: IpAddr,
    holders: &BTreeMap<IpAddr, AddressHolder>,
) -> Result<IpAddr, AddressError> {
    match holders.get(&address) {
        Some(holder) => {
            let (network, holder) = (network.name.clone(), holder.clone());
            Err(AddressError::Taken { address, network, holder })
        }
        None => Ok(address),
    }
}

/// What the slot had before, else the first that nobody has or is to have.
fn free_address(
    network: &Network,
    pool: &AddressPool,
    taken: &Taken,
    preferred: &[Endpoint],
) -> Result<IpAddr, AddressError> {
    let holders = holders(network, taken);
    let promised = taken.promised.iter().filter(|(other, _)| *other == network.name);
    let promised: BTreeSet<IpAddr> = promised.map(|(_, address)| *address).collect();
    let old = preferred.iter().filter(|endpoint| endpoint.network == network.name);
    let mut old = old.flat_map(|endpoint| &endpoint.addresses).map(IpNet::addr);
    let old = old.find(|old| is_usable(pool.subnet, *old));
    old.into_iter()
        .chain(usable_in(pool.subnet))
        .find(|address| !holders.contains_key(address) && !promised.contains(address))
        .ok_or_else(|| {
            let (network, subnet) = (network.name.clone(), pool.subnet.to_string());
            AddressError::Full { network, subnet }
        })
}

/// All of a network's subnets, for people.
fn subnets(network: &Network) -> String {
    let all: Vec<_> = network.pools.iter().map(|pool| pool.subnet.to_string()).collect();
    all.join(", ")
}

/// From the address, as docker does: whoever keeps its address keeps this, and no neighbour's
/// table goes stale.
pub(super) fn hardware_address(address: IpAddr) -> [u8; 6] {
    let [a, b, c, d] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
    };
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

    fn subnet(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn network(name: &str, text: &str) -> Network {
        let subnet = subnet(text);
        let pools = vec![AddressPool { subnet, gateway: usable_in(subnet).next() }];
        Network { name: name.into(), link: Some("br".into()), pools, ..Network::default() }
    }

    fn task(network: &str, address: Option<&str>) -> TaskSpec {
        let addresses = address.map(|address| address.parse().unwrap()).into_iter().collect();
        let aliases = vec!["web".into(), "www".into()];
        TaskSpec {
            container_name: "blog-web-1".into(),
            networks: vec![Attachment { network: network.into(), aliases, addresses }],
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
            addresses: vec![IpNet::new(address.parse().unwrap(), 29).unwrap()],
            ..Endpoint::default()
        };
        let (promised, held): (Vec<_>, Vec<_>) =
            taken.iter().partition(|(who, _)| *who == "promised");
        let held = held.iter().map(|(who, at)| ((*who).into(), endpoint(at))).collect();
        let promised =
            promised.iter().map(|(_, at)| ("blog".into(), at.parse().unwrap())).collect();
        let taken = Taken { held, promised };
        let old: Vec<_> = old.into_iter().map(endpoint).collect();
        endpoints(&TaskId::from_seed("x"), spec, &networks, &taken, &old)
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
            (
                task("blog", Some("fd00::2")),
                vec![],
                None,
                "address fd00::2 is not usable in network `blog` (10.0.0.0/29)",
            ),
        ];
        for (spec, taken, old, expected) in cases {
            let got = place(&spec, &blog, &taken, old);
            let got = got.map_or_else(|error| error.to_string(), |e| e[0].address_text());
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
            got.iter().map(|e| (e.interface.as_str(), shown(&e.gateways))).collect();
        let expected = [("eth0", ""), ("eth1", "10.0.1.1"), ("eth2", "")];
        assert_eq!(gateways, expected.map(|(interface, at)| (interface, at.to_owned())));
        assert_eq!(got[0].mac, "02:42:0a:00:00:02");
        let short = TaskId::from_seed("x").short().to_owned();
        assert_eq!(got[0].names, ["web", "www", "blog-web-1", &short]);
        assert_eq!(got[1].names, ["blog-web-1", &short]);
    }

    fn shown(addresses: &[IpAddr]) -> String {
        addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
    }

    /// No driver makes these yet: whoever does finds the choice of addresses ready.
    #[test]
    fn a_network_of_both_families_gives_an_address_of_each() {
        let mut both = network("blog", "10.0.0.0/29");
        let v6 = subnet("fd00::/64");
        both.pools.push(AddressPool { subnet: v6, gateway: usable_in(v6).next() });
        let got = place(&task("blog", Some("fd00::7")), &[both.clone()], &[], None).unwrap();
        let got: Vec<_> = got[0].addresses.iter().map(IpNet::to_string).collect();
        assert_eq!(got, ["10.0.0.2/29", "fd00::7/64"]);
        let got = place(&task("blog", None), &[both], &[], None).unwrap();
        assert_eq!(shown(&got[0].gateways), "10.0.0.1 fd00::1");
        assert_eq!(got[0].addresses[1].to_string(), "fd00::2/64");
    }
}
