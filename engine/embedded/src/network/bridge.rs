//! A network's bridge: the link, its address, its kernel settings.

use super::addresses::{InUse, hardware_address};
use super::firewall::bridge_prefix;
use super::link::{Link, Links};
use super::netlink::is_present;
use super::{Network, NetworkFinding};
use crate::root::layout::Layout;
use ipnet::IpNet;
use keel_engine::AddressPool;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Makes the bridge, or makes it whole.
pub(super) fn ensure(network: &Network) -> io::Result<()> {
    let (name, own) = (bridge(network)?, own(network));
    let mut links = Links::open()?;
    let link = match links.find(name)? {
        Some(link) => link,
        None => create(&mut links, name, &own)?,
    };
    write_setting(&setting(name, "route_localnet"), "1")?;
    disable_ipv6(name)?;
    for wrong in addresses(&mut links, &link)?.into_iter().filter(|at| !own.contains(at)) {
        links.delete_address(link.index, wrong)?;
    }
    own.iter().try_for_each(|address| links.add_address(link.index, *address))?;
    if !link.up {
        links.up(link.index)?;
    }
    write_setting(Path::new("/proc/sys/net/ipv4/ip_forward"), "1")
}

/// Every network that this driver made has one.
fn bridge(network: &Network) -> io::Result<&str> {
    network.link.as_deref().ok_or_else(|| io::Error::other("its record names no bridge"))
}

fn create(links: &mut Links, name: &str, own: &[IpNet]) -> io::Result<Link> {
    let first = own.first().map(IpNet::addr).ok_or(io::ErrorKind::InvalidInput)?;
    match links.add_bridge(name, hardware_address(first)) {
        Err(error) if !is_present(&error) => return Err(error),
        _ => {}
    }
    links.find(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The bridge's own addresses: its tasks' gateways.
fn own(network: &Network) -> Vec<IpNet> {
    let own = |pool: &AddressPool| IpNet::new(pool.gateway?, pool.subnet.prefix_len()).ok();
    network.pools.iter().filter_map(own).collect()
}

fn addresses(links: &mut Links, link: &Link) -> io::Result<Vec<IpNet>> {
    let all = links.addresses()?.into_iter();
    Ok(all.filter(|(index, _)| *index == link.index).map(|(_, address)| address).collect())
}

/// Deletes a bridge, if it is there.
pub(super) fn remove(bridge: &str) -> io::Result<()> {
    let mut links = Links::open()?;
    match links.find(bridge)? {
        Some(_) => links.delete(bridge),
        None => Ok(()),
    }
}

/// Deletes every link that carries the root's key.
pub(super) fn remove_all(layout: &Layout) -> io::Result<()> {
    let prefixes = [format!("kv{}-", layout.key()), bridge_prefix(layout)];
    let mut links = Links::open()?;
    for link in links.all()? {
        if prefixes.iter().any(|prefix| link.name.starts_with(prefix)) {
            links.delete(&link.name)?;
        }
    }
    Ok(())
}

/// What of the bridge is not as it was made.
pub(super) fn differences(network: &Network) -> io::Result<Vec<NetworkFinding>> {
    let (name, own) = (bridge(network)?, own(network));
    let mut links = Links::open()?;
    let what = format!("bridge {name}");
    let Some(link) = links.find(name)? else {
        return Ok(vec![finding(network, what, "present", "missing")]);
    };
    let mut findings = Vec::new();
    if !link.up {
        findings.push(finding(network, what.clone(), "up", "down"));
    }
    let there = addresses(&mut links, &link)?;
    if there != own {
        let observed = if there.is_empty() { "none".into() } else { shown(&there) };
        findings.push(finding(network, format!("address of {what}"), &shown(&own), &observed));
    }
    for path in [setting(name, "route_localnet"), PathBuf::from("/proc/sys/net/ipv4/ip_forward")] {
        let there = fs::read_to_string(&path)?.trim().to_owned();
        if there != "1" {
            findings.push(finding(network, path.display().to_string(), "1", &there));
        }
    }
    Ok(findings)
}

fn shown(addresses: &[IpNet]) -> String {
    addresses.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" ")
}

fn finding(network: &Network, what: String, expected: &str, observed: &str) -> NetworkFinding {
    NetworkFinding {
        network: Some(network.name.clone()),
        tasks: Vec::new(),
        what,
        expected: expected.into(),
        observed: observed.into(),
    }
}

fn setting(link: &str, name: &str) -> PathBuf {
    format!("/proc/sys/net/ipv4/conf/{link}/{name}").into()
}

/// Our networks speak IPv4 only: no link-local addresses that nobody asked for. A kernel without
/// IPv6 has none to turn off.
pub(super) fn disable_ipv6(link: &str) -> io::Result<()> {
    let path = format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6");
    match write_setting(Path::new(&path), "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes only what differs: where /proc/sys is read-only, being right already is enough.
fn write_setting(path: &Path, value: &str) -> io::Result<()> {
    if fs::read_to_string(path)?.trim() == value {
        return Ok(());
    }
    fs::write(path, value)
}

/// What of this host's addresses is in use; `networks` are the root's own.
pub(super) fn in_use(networks: &[Network]) -> io::Result<InUse> {
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
