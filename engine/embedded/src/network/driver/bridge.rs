//! The driver `bridge`: a network is a bridge of the host with the gateways' addresses; a task is in it by a
//! veth pair.

use super::{Driver, Namespace, Site};
use crate::network::addresses::hardware_address;
use crate::network::link::{Link, Links};
use crate::network::netlink::is_present;
use crate::network::{
    Network, NetworkError, NetworkFinding, in_use, kernel, pools, settings, veth,
};
use crate::root::record::Endpoint;
use ipnet::IpNet;
use keel_engine::fields::NetworkReader;
use keel_engine::{AddressPool, FieldPath, NetworkSpec};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Whether the host forwards at all.
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Bridges of this host.
pub(super) struct BridgeDriver;

impl Driver for BridgeDriver {
    fn name(&self) -> &'static str {
        "bridge"
    }

    fn namespace(&self) -> Namespace {
        Namespace::Own
    }

    fn create(&self, site: &Site<'_>, spec: &NetworkSpec) -> Result<Network, NetworkError> {
        let network = choose(site, spec)?;
        ensure(&network).map_err(kernel(format!("make {}", shown(&network))))?;
        Ok(network)
    }

    fn repair(&self, network: &Network) -> Result<(), NetworkError> {
        ensure(network).map_err(kernel(format!("repair {}", shown(network))))
    }

    fn check(
        &self,
        network: &Network,
        reader: NetworkReader,
    ) -> Result<Vec<NetworkFinding>, NetworkError> {
        let read = match reader {
            NetworkReader::Link => link_differences(network),
            NetworkReader::Addresses => address_differences(network),
            // Read for all at once.
            NetworkReader::Firewall => Ok(Vec::new()),
        };
        read.map_err(kernel(format!("read {}", shown(network))))
    }

    fn remove(&self, network: &Network) -> Result<(), NetworkError> {
        network.link.as_deref().map_or(Ok(()), delete)
    }

    fn join(&self, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> Result<(), NetworkError> {
        veth::attach(endpoint, netns).map_err(kernel(format!("join {}", endpoint.network)))
    }

    fn is_joined(&self, endpoint: &Endpoint) -> Result<bool, NetworkError> {
        let what = format!("read the link into {}", endpoint.network);
        veth::is_plugged(endpoint).map_err(kernel(what))
    }

    fn leave(&self, endpoint: &Endpoint) -> Result<(), NetworkError> {
        veth::disconnect(endpoint).map_err(kernel(format!("leave {}", endpoint.network)))
    }

    fn forwarded<'a>(&self, network: &'a Network) -> Option<&'a str> {
        network.link.as_deref()
    }
}

fn choose(site: &Site<'_>, spec: &NetworkSpec) -> Result<Network, NetworkError> {
    let (name, bridge) = (spec.name.clone(), site.layout.bridge(&spec.name));
    // Six digits are soon found that another stack's network has as well, and whoever shares a bridge
    // shares the network.
    if let Some(other) = site.others.iter().find(|other| other.link.as_ref() == Some(&bridge)) {
        return Err(NetworkError::Twin { name, other: other.name.clone(), bridge });
    }
    delete(&bridge)?;
    let used = in_use::read(site.others).map_err(kernel("read the host's routes"))?;
    let pools = pools::choose(spec, &used)?;
    let (driver, link) = (BridgeDriver.name().to_owned(), Some(bridge));
    Ok(Network { name, driver, link, pools, internal: spec.internal })
}

fn shown(network: &Network) -> FieldPath {
    FieldPath::Bridge(network.link.clone().unwrap_or_default())
}

/// Makes the bridge, or makes it whole.
fn ensure(network: &Network) -> io::Result<()> {
    let (name, own) = (bridge(network)?, own(network));
    let mut links = Links::open()?;
    let link = match links.find(name)? {
        Some(link) => link,
        None => add(&mut links, name, &own)?,
    };
    settings::write(&settings::of_link(name, "route_localnet"), "1")?;
    settings::disable_ipv6(name)?;
    for wrong in links.addresses_of(link.index)?.into_iter().filter(|at| !own.contains(at)) {
        links.delete_address(link.index, wrong)?;
    }
    own.iter().try_for_each(|address| links.add_address(link.index, *address))?;
    if !link.up {
        links.up(link.index)?;
    }
    settings::write(Path::new(IP_FORWARD), "1")
}

/// Every network that this driver made has one.
fn bridge(network: &Network) -> io::Result<&str> {
    network.link.as_deref().ok_or_else(|| io::Error::other("its record names no bridge"))
}

fn add(links: &mut Links, name: &str, own: &[IpNet]) -> io::Result<Link> {
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

/// Deletes a bridge, if it is there.
fn delete(bridge: &str) -> Result<(), NetworkError> {
    let delete = || {
        let mut links = Links::open()?;
        links.find(bridge)?.map_or(Ok(()), |_| links.delete(bridge))
    };
    delete().map_err(kernel(format!("delete bridge {bridge}")))
}

/// Whether the bridge is there, up, and set as it was.
fn link_differences(network: &Network) -> io::Result<Vec<NetworkFinding>> {
    let (name, what) = (bridge(network)?, shown(network));
    let Some(link) = Links::open()?.find(name)? else {
        return Ok(vec![NetworkFinding::of(network, what, "present", "missing")]);
    };
    let mut findings = Vec::new();
    if !link.up {
        findings.push(NetworkFinding::of(network, what, "up", "down"));
    }
    for path in [settings::of_link(name, "route_localnet"), PathBuf::from(IP_FORWARD)] {
        let there = fs::read_to_string(&path)?.trim().to_owned();
        if there != "1" {
            let below = path.strip_prefix("/proc/sys").unwrap_or(&path);
            let what = FieldPath::Kernel(below.display().to_string());
            findings.push(NetworkFinding::of(network, what, "1", &there));
        }
    }
    Ok(findings)
}

/// A bridge that is gone has none, which says all.
fn address_differences(network: &Network) -> io::Result<Vec<NetworkFinding>> {
    let mut links = Links::open()?;
    let Some(link) = links.find(bridge(network)?)? else { return Ok(Vec::new()) };
    let (own, there) = (own(network), links.addresses_of(link.index)?);
    if there == own {
        return Ok(Vec::new());
    }
    let observed = if there.is_empty() { "none".into() } else { list(&there) };
    let what = FieldPath::BridgeAddress(network.link.clone().unwrap_or_default());
    Ok(vec![NetworkFinding::of(network, what, &list(&own), &observed)])
}

fn list(addresses: &[IpNet]) -> String {
    addresses.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" ")
}
