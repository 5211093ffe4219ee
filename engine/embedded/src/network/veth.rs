//! A task's way into a network: a veth pair, one end on the bridge, one in the task's namespace.
//!
//! The namespace is entered by a thread that ends with it, so that no other work ever runs there.

use super::bridge::disable_ipv6;
use super::link::Links;
use super::netlink::is_present;
use crate::root::record::Endpoint;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// The host's side of an endpoint: `kv` + the root's key + `-` + six digits of network and
/// address, which no two tasks have together.
pub(super) fn host_name(endpoint: &Endpoint) -> String {
    let key = endpoint.link.as_deref().and_then(|link| link.get(2..8)).unwrap_or_default();
    let seed = format!("{} {}", endpoint.network, endpoint.address_text());
    format!("kv{key}-{}", &keel_engine::Digest::of(seed.as_bytes()).hex()[..6])
}

/// Puts links for all endpoints into the namespace and brings them up.
pub(super) fn connect(endpoints: &[Endpoint], netns: &Path) -> io::Result<()> {
    let netns = File::open(netns)?;
    let mut links = Links::open()?;
    for endpoint in endpoints {
        attach(&mut links, endpoint, netns.as_fd())?;
    }
    inside(netns.as_fd(), || configure(endpoints))
}

/// The side inside of the namespace alone.
pub(super) fn set_up(endpoints: &[Endpoint], netns: &Path) -> io::Result<()> {
    inside(File::open(netns)?.as_fd(), || configure(endpoints))
}

fn attach(links: &mut Links, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> io::Result<()> {
    let name = endpoint.link.as_deref().unwrap_or_default();
    let bridge = links.find(name)?.ok_or_else(|| {
        let text = format!("bridge {name} is gone");
        io::Error::new(io::ErrorKind::NotFound, text)
    })?;
    let host = host_name(endpoint);
    let peer = (endpoint.interface.as_str(), parse_mac(&endpoint.mac)?);
    match links.add_veth(&host, bridge.index, peer, netns) {
        Err(error) if is_present(&error) => {
            links.delete(&host)?; // of an earlier attempt, or of a namespace that is still dying
            links.add_veth(&host, bridge.index, peer, netns)?;
        }
        done => done?,
    }
    links.set_port(&host, owner(endpoint))
}

/// Whether the host's side is there, up, and on its bridge.
pub(super) fn is_plugged(endpoint: &Endpoint) -> io::Result<bool> {
    let mut links = Links::open()?;
    let name = endpoint.link.as_deref().unwrap_or_default();
    let bridge = links.find(name)?.map(|bridge| bridge.index);
    let host = links.find(&host_name(endpoint))?;
    Ok(host.is_some_and(|host| host.up && host.master.is_some() && host.master == bridge))
}

/// Runs in the namespace: addresses, routes, up.
fn configure(endpoints: &[Endpoint]) -> io::Result<()> {
    let mut links = Links::open()?;
    up(&mut links, "lo")?;
    for endpoint in endpoints {
        let link = links.find(&endpoint.interface)?.ok_or(io::ErrorKind::NotFound)?;
        endpoint.addresses.iter().try_for_each(|at| links.add_address(link.index, *at))?;
        disable_ipv6(&endpoint.interface)?;
        links.up(link.index)?;
    }
    let routed = endpoints.iter().find(|endpoint| endpoint.leads_out());
    let mut gateways = routed.iter().flat_map(|endpoint| &endpoint.gateways);
    gateways.try_for_each(|gateway| links.set_default_route(*gateway))
}

fn up(links: &mut Links, name: &str) -> io::Result<()> {
    match links.find(name)? {
        Some(link) if !link.up => links.up(link.index),
        _ => Ok(()),
    }
}

/// Deletes the host's side; the other goes with it. Not if it is another task's by now: a slot's
/// next one has its address, and so the link's name.
pub(super) fn disconnect(endpoint: &Endpoint) -> io::Result<()> {
    let (name, mut links) = (host_name(endpoint), Links::open()?);
    match links.find(&name)? {
        Some(link) if link.alias.as_deref() == Some(owner(endpoint)) => links.delete(&name),
        _ => Ok(()),
    }
}

/// The task's short id, the last of its names.
fn owner(endpoint: &Endpoint) -> &str {
    endpoint.names.last().map_or("", String::as_str)
}

/// Does something in a network namespace, on a thread of its own.
pub(crate) fn inside<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let entered = || {
        setns(netns, CloneFlags::CLONE_NEWNET)?;
        work()
    };
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, entered)?;
        thread.join().map_err(|_| io::Error::other("the thread in the namespace panicked"))?
    })
}

fn parse_mac(text: &str) -> io::Result<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| invalid(text))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{text}` is not an address"))
}
