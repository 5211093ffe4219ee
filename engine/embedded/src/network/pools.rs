//! Which subnet a network gets. Pure: the host's facts come in as data.

use ipnet::{IpNet, Ipv4Net};
use keel_engine::{AddressError, AddressPool, NetworkSpec, PoolSpec};
use std::net::{IpAddr, Ipv4Addr};

/// What of the host's addresses is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct InUse {
    /// Subnets of this root's networks, with the network's name.
    pub networks: Vec<(String, IpNet)>,
    /// Destinations of the host's routes and subnets of its addresses (Docker's and other roots'
    /// networks among them).
    pub routes: Vec<IpNet>,
    /// The host's name servers.
    pub name_servers: Vec<IpAddr>,
}

/// The addresses of a new network: as asked for, else the first free of the ranges that
/// Docker has too (its default network, 172.17.0.0/16, and the next two are left to it). Each gets
/// 4,094 addresses, so that hosts have room for some two hundred networks; Docker ends after 31.
pub(super) fn choose(spec: &NetworkSpec, used: &InUse) -> Result<Vec<AddressPool>, AddressError> {
    spec.pools.iter().try_for_each(|pool| without_ipv6(spec, pool))?;
    match spec.pools[..] {
        [] => Ok(vec![choose_pool(spec, PoolSpec::default(), used)?]),
        [pool] => Ok(vec![choose_pool(spec, pool, used)?]),
        _ => Err(AddressError::Several { network: spec.name.clone(), count: spec.pools.len() }),
    }
}

fn without_ipv6(spec: &NetworkSpec, pool: &PoolSpec) -> Result<(), AddressError> {
    let refused = |asked| Err(AddressError::Ipv6 { network: spec.name.clone(), asked });
    match (pool.subnet, pool.gateway) {
        (Some(subnet @ IpNet::V6(_)), _) => refused(format!("the subnet {subnet}")),
        (_, Some(gateway @ IpAddr::V6(_))) => refused(format!("the gateway {gateway}")),
        _ => Ok(()),
    }
}

fn choose_pool(
    spec: &NetworkSpec,
    asked: PoolSpec,
    used: &InUse,
) -> Result<AddressPool, AddressError> {
    let subnet = match asked.subnet {
        Some(subnet) => fixed_subnet(spec, subnet.trunc(), used)?,
        None => free_subnet(used)
            .ok_or_else(|| AddressError::NoSubnet { network: spec.name.clone() })?,
    };
    let first = || usable_in(subnet).next().unwrap_or(subnet.network());
    let gateway = asked.gateway.unwrap_or_else(first);
    if !is_usable(subnet, gateway) {
        let (network, subnet) = (spec.name.clone(), subnet.to_string());
        return Err(AddressError::Outside { address: gateway, network, subnet });
    }
    Ok(AddressPool { subnet, gateway: Some(gateway) })
}

fn fixed_subnet(spec: &NetworkSpec, subnet: IpNet, used: &InUse) -> Result<IpNet, AddressError> {
    let network = used.networks.iter().find(|(_, other)| overlap(*other, subnet));
    let route = used.routes.iter().find(|other| overlap(**other, subnet));
    let other = match (network, route) {
        (Some((name, other)), _) => format!("network `{name}` ({other})"),
        (None, Some(other)) => format!("the host's route to {other}"),
        (None, None) => return Ok(subnet),
    };
    Err(AddressError::Overlap { network: spec.name.clone(), subnet, other })
}

fn free_subnet(used: &InUse) -> Option<IpNet> {
    let sixteen = |first, second| {
        let part = move |part: u8| Ipv4Net::new(Ipv4Addr::new(first, second, part * 16, 0), 20);
        (0..16).filter_map(move |number| part(number).ok()).map(IpNet::V4)
    };
    let mut all = (20..32).flat_map(|second| sixteen(172, second)).chain(sixteen(192, 168));
    all.find(|subnet| {
        !used.networks.iter().any(|(_, other)| overlap(*other, *subnet))
            && !used.routes.iter().any(|other| overlap(*other, *subnet))
            && !used.name_servers.iter().any(|server| subnet.contains(server))
    })
}

/// Whether the two share an address.
fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// The addresses that something may have, in order: without the first and the last.
pub(super) fn usable_in(subnet: IpNet) -> impl Iterator<Item = IpAddr> {
    subnet.hosts().filter(move |address| is_usable(subnet, *address))
}

pub(super) fn is_usable(subnet: IpNet, address: IpAddr) -> bool {
    subnet.contains(&address) && address != subnet.network() && address != subnet.broadcast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn text(pools: &[AddressPool]) -> String {
        let gateway = pools[0].gateway.unwrap();
        format!("{} {gateway}", pools[0].subnet)
    }

    #[test]
    fn a_subnet_is_chosen_around_what_is_in_use() {
        let spec = NetworkSpec { name: "blog".into(), ..NetworkSpec::default() };
        let choose = |used: &InUse| super::choose(&spec, used).map(|pools| text(&pools));
        let used = InUse::default();
        assert_eq!(choose(&used).unwrap(), "172.20.0.0/20 172.20.0.1");
        let used = InUse {
            networks: vec![("a".into(), subnet("172.20.0.0/16"))],
            routes: vec![subnet("172.21.7.0/24"), subnet("172.21.16.0/21")],
            name_servers: vec![Ipv4Addr::new(172, 21, 32, 9).into()],
        };
        assert_eq!(choose(&used).unwrap(), "172.21.48.0/20 172.21.48.1");
        let used = InUse { routes: vec![subnet("172.16.0.0/12")], ..InUse::default() };
        assert_eq!(choose(&used).unwrap(), "192.168.0.0/20 192.168.0.1");
        let mut many = InUse::default();
        for number in 0..200 {
            let pools = super::choose(&spec, &many).expect("there is room for every stack");
            many.networks.push((number.to_string(), pools[0].subnet));
        }
        let routes = vec![subnet("172.16.0.0/12"), subnet("192.168.0.0/16")];
        let used = InUse { routes, ..InUse::default() };
        assert!(matches!(choose(&used), Err(AddressError::NoSubnet { .. })));
    }

    #[test]
    fn a_subnet_that_was_asked_for_is_checked() {
        let spec = |subnet: &str, gateway: Option<&str>| NetworkSpec {
            name: "blog".into(),
            pools: vec![PoolSpec {
                subnet: Some(subnet.parse().unwrap()),
                gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            }],
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
            (spec("10.3.1.7/24", None), "10.3.1.0/24 10.3.1.1"),
            (
                spec("fd00::/64", None),
                "network `blog` asks for the subnet fd00::/64, and IPv6 networks are not supported",
            ),
            (
                spec("10.3.0.0/24", Some("fd00::1")),
                "network `blog` asks for the gateway fd00::1, and IPv6 networks are not supported",
            ),
        ];
        for (spec, expected) in cases {
            let got = choose(&spec, &used);
            let got = got.map_or_else(|error| error.to_string(), |pools| text(&pools));
            assert_eq!(got, expected);
        }
        let mut two = spec("10.3.0.0/24", None);
        two.pools.push(PoolSpec { subnet: Some(subnet("10.4.0.0/24")), gateway: None });
        let refused = choose(&two, &used).unwrap_err().to_string();
        assert_eq!(refused, "network `blog` asks for 2 subnets, and only one is supported");
    }
}
