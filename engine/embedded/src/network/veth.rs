//! A task's way into a network: a veth pair, one end on the bridge, one in the task's namespace.

use super::link::Links;
use super::netlink::is_present;
use crate::root::record::Endpoint;
use std::io;
use std::os::fd::BorrowedFd;

/// The host's side of an endpoint: `kv` + the root's key + `-` + six digits of network and
/// address, which no two tasks have together.
pub(super) fn host_name(endpoint: &Endpoint) -> String {
    let key = endpoint.link.as_deref().and_then(|link| link.get(2..8)).unwrap_or_default();
    let seed = format!("{} {}", endpoint.network, endpoint.address_text());
    format!("kv{key}-{}", &keel_engine::Digest::of(seed.as_bytes()).hex()[..6])
}

/// Puts one end into the namespace, the other on the bridge.
pub(super) fn attach(endpoint: &Endpoint, netns: BorrowedFd<'_>) -> io::Result<()> {
    let mut links = Links::open()?;
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

fn parse_mac(text: &str) -> io::Result<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| invalid(text))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{text}` is not an address"))
}
