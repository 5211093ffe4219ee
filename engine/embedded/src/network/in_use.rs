//! What of this host's addresses is in use, read from the kernel.

use super::Network;
use super::link::Links;
use super::pools::InUse;
use ipnet::IpNet;
use std::net::IpAddr;
use std::{fs, io};

/// `networks` are the root's own.
pub(super) fn read(networks: &[Network]) -> io::Result<InUse> {
    let mut links = Links::open()?;
    let own: Vec<&str> = networks.iter().filter_map(|network| network.link.as_deref()).collect();
    let own: Vec<u32> = links
        .all()?
        .into_iter()
        .filter(|link| own.contains(&link.name.as_str()))
        .map(|link| link.index)
        .collect();
    let addresses = links.addresses()?;
    let addresses = addresses.iter().filter(|(index, _)| !own.contains(index));
    let subnets = addresses.map(|(_, address)| address.trunc());
    let known = subnets_of(networks);
    let is_known = |route: &IpNet| known.iter().any(|(_, subnet)| subnet == route);
    let routes = links.routes()?.into_iter().map(|route| route.trunc());
    let routes = subnets.chain(routes.filter(|route| !is_known(route))).collect();
    let name_servers =
        resolv_conf_servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    Ok(InUse { networks: known, routes, name_servers })
}

fn subnets_of(networks: &[Network]) -> Vec<(String, IpNet)> {
    let of = |network: &Network| {
        let name = network.name.clone();
        network.pools.clone().into_iter().map(move |pool| (name.clone(), pool.subnet))
    };
    networks.iter().flat_map(of).collect()
}

fn resolv_conf_servers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse().ok()).collect()
}
