//! A network's bridge: the link, its address, its kernel settings.

use super::addresses::{InUse, Subnet, hardware_address};
use super::firewall::bridge_prefix;
use super::link::{Address, Link, Links};
use super::netlink::is_present;
use super::{Network, NetworkFinding};
use crate::root::layout::Layout;
use keel_engine::FieldPath;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Makes the bridge, or makes it whole.
pub(super) fn ensure(network: &Network) -> io::Result<()> {
    let mut links = Links::open()?;
    let link = match links.find(&network.bridge)? {
        Some(link) => link,
        None => create(&mut links, network)?,
    };
    write_setting(&setting(&network.bridge, "route_localnet"), "1")?;
    disable_ipv6(&network.bridge)?;
    for wrong in addresses(&mut links, &link)?.into_iter().filter(|at| *at != own(network)) {
        links.delete_address(link.index, wrong)?;
    }
    links.add_address(link.index, own(network))?;
    if !link.up {
        links.up(link.index)?;
    }
    write_setting(Path::new("/proc/sys/net/ipv4/ip_forward"), "1")
}

fn create(links: &mut Links, network: &Network) -> io::Result<Link> {
    let name = &network.bridge;
    match links.add_bridge(name, hardware_address(network.gateway)) {
        Err(error) if !is_present(&error) => return Err(error),
        _ => {}
    }
    links.find(name)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn own(network: &Network) -> Address {
    (network.gateway, network.subnet.prefix())
}

fn addresses(links: &mut Links, link: &Link) -> io::Result<Vec<Address>> {
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
    let mut links = Links::open()?;
    let what = FieldPath::Bridge(network.bridge.clone());
    let Some(link) = links.find(&network.bridge)? else {
        return Ok(vec![finding(network, what, "present", "missing")]);
    };
    let mut findings = Vec::new();
    if !link.up {
        findings.push(finding(network, what.clone(), "up", "down"));
    }
    let (address, prefix) = own(network);
    let there = addresses(&mut links, &link)?;
    if there != [own(network)] {
        let list: Vec<_> = there.iter().map(|(at, prefix)| format!("{at}/{prefix}")).collect();
        let observed = if list.is_empty() { "none".into() } else { list.join(" ") };
        let expected = format!("{address}/{prefix}");
        findings.push(finding(
            network,
            FieldPath::BridgeAddress(network.bridge.clone()),
            &expected,
            &observed,
        ));
    }
    let settings = [
        setting(&network.bridge, "route_localnet"),
        PathBuf::from(SETTINGS).join("net/ipv4/ip_forward"),
    ];
    for path in settings {
        let there = fs::read_to_string(&path)?.trim().to_owned();
        if there != "1" {
            let below = path.strip_prefix(SETTINGS).unwrap_or(&path);
            let what = FieldPath::Kernel(below.display().to_string());
            findings.push(finding(network, what, "1", &there));
        }
    }
    Ok(findings)
}

fn finding(network: &Network, what: FieldPath, expected: &str, observed: &str) -> NetworkFinding {
    NetworkFinding {
        network: Some(network.name.clone()),
        tasks: Vec::new(),
        what,
        expected: expected.into(),
        observed: observed.into(),
    }
}

/// Where the kernel has its parameters.
const SETTINGS: &str = "/proc/sys";

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
    let own: Vec<&str> = networks.iter().map(|network| network.bridge.as_str()).collect();
    let own: Vec<u32> = links
        .all()?
        .into_iter()
        .filter(|link| own.contains(&link.name.as_str()))
        .map(|link| link.index)
        .collect();
    let addresses = links.addresses()?;
    let addresses = addresses.iter().filter(|(index, _)| !own.contains(index));
    let subnets = addresses.map(|(_, (address, prefix))| Subnet::of(*address, *prefix));
    let known: Vec<Subnet> = networks.iter().map(|network| network.subnet).collect();
    let routes = links.routes()?.into_iter().map(|(base, prefix)| Subnet::of(base, prefix));
    let routes = subnets.chain(routes.filter(|route| !known.contains(route))).collect();
    let networks = networks.iter().map(|network| (network.name.clone(), network.subnet)).collect();
    let name_servers =
        resolv_conf_servers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    Ok(InUse { networks, routes, name_servers })
}

fn resolv_conf_servers(text: &str) -> Vec<Ipv4Addr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse().ok()).collect()
}
