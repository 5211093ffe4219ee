//! What of this host's addresses is in use, read from the kernel.

use super::Network;
use super::link::Links;
use super::pools::InUse;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::{fs, io};

/// `networks` are the root's own.
pub(super) fn read(networks: &[&Network]) -> io::Result<InUse> {
    let mut links = Links::open()?;
    let known = subnets_of(networks);
    // Their bridges have the same subnets, and so have the routes to them.
    let own: BTreeSet<IpNet> = known.iter().map(|(_, subnet)| *subnet).collect();
    let subnets = links.addresses()?.into_iter().map(|(_, address)| address);
    let all = subnets.chain(links.routes()?).map(|used| used.trunc());
    let routes = all.filter(|used| !own.contains(used)).collect();
    let name_servers =
        resolv_conf_servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    Ok(InUse { networks: known, routes, name_servers })
}

fn subnets_of(networks: &[&Network]) -> Vec<(String, IpNet)> {
    let of = |network: &&Network| {
        let name = network.name.clone();
        network.pools.clone().into_iter().map(move |pool| (name.clone(), pool.subnet))
    };
    networks.iter().flat_map(of).collect()
}

fn resolv_conf_servers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse().ok()).collect()
}
