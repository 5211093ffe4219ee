//! The switch (a bridge in a namespace of its own) and the cables to it.
//!
//! A switch among the host's own links would have its frames filtered by the host's firewall, wherever
//! that filters bridges.

use crate::network::link::Links;
use crate::network::namespace::inside;
use crate::network::netlink::is_present;
use ipnet::{IpNet, Ipv4Net};
use keel_engine::Digest;
use std::io;
use std::os::fd::BorrowedFd;

/// The bridge, in its own namespace.
const SWITCH: &str = "switch";

/// A cable between the switch and a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Cable<'a> {
    /// What the switch's end is called.
    pub port: &'a str,
    /// Where the other end is.
    pub netns: BorrowedFd<'a>,
    /// What that end is called.
    pub interface: &'a str,
    /// Its address.
    pub address: Ipv4Net,
}

/// Makes the switch in this namespace.
pub fn set_up_switch(switch: BorrowedFd<'_>) -> io::Result<()> {
    inside(switch, || {
        let mut links = Links::open()?;
        match links.add_bridge(SWITCH, mac(SWITCH)) {
            Err(error) if !is_present(&error) => return Err(error),
            _ => {}
        }
        let bridge = links.find(SWITCH)?.ok_or(io::ErrorKind::NotFound)?;
        links.up(bridge.index)
    })
}

/// Plugs a cable in at both ends.
pub fn plug(switch: BorrowedFd<'_>, cable: &Cable<'_>) -> io::Result<()> {
    let lay = || inside(switch, || lay(cable));
    match lay() {
        // Of a switch that is no more.
        Err(error) if is_present(&error) => {
            inside(cable.netns, || Links::open()?.delete(cable.interface))?;
            lay()?;
        }
        done => done?,
    }
    inside(cable.netns, || {
        let mut links = Links::open()?;
        let end = links.find(cable.interface)?.ok_or(io::ErrorKind::NotFound)?;
        links.add_address(end.index, IpNet::V4(cable.address))?;
        links.up(end.index)
    })
}

/// Runs in the switch's namespace.
fn lay(cable: &Cable<'_>) -> io::Result<()> {
    let mut links = Links::open()?;
    if let Some(port) = links.find(cable.port)? {
        return links.up(port.index);
    }
    let bridge = links.find(SWITCH)?.ok_or(io::ErrorKind::NotFound)?;
    let end = (cable.interface, mac(&cable.address.to_string()));
    links.add_veth(cable.port, bridge.index, end, cable.netns)
}

/// Pulls a cable out of the switch, or plugs it in again.
pub fn set_plugged(switch: BorrowedFd<'_>, port: &str, plugged: bool) -> io::Result<()> {
    inside(switch, || {
        let mut links = Links::open()?;
        let port = links.find(port)?.ok_or(io::ErrorKind::NotFound)?;
        if plugged { links.up(port.index) } else { links.down(port.index) }
    })
}

/// Whether the switch has this cable plugged in.
pub fn is_plugged(switch: BorrowedFd<'_>, port: &str) -> io::Result<bool> {
    let port = inside(switch, || Links::open()?.find(port))?;
    Ok(port.is_some_and(|port| port.up))
}

/// Whether the calling thread's namespace has this link.
pub fn has(interface: &str) -> io::Result<bool> {
    Ok(Links::open()?.find(interface)?.is_some())
}

/// Deletes a cable, by its end in the calling thread's namespace.
pub fn remove(interface: &str) -> io::Result<()> {
    Links::open()?.delete(interface)
}

/// Every range of addresses that the calling thread's namespace has a route or an address in.
pub fn ranges_in_use() -> io::Result<Vec<IpNet>> {
    let mut links = Links::open()?;
    let addresses = links.addresses()?.into_iter().map(|(_, address)| address.trunc());
    let routes = links.routes()?.into_iter().map(|route| route.trunc());
    Ok(addresses.chain(routes).collect())
}

/// An address of hardware that nobody makes, the same for the same name.
fn mac(name: &str) -> [u8; 6] {
    let digest = Digest::of(name.as_bytes()).hex();
    let byte = |at: usize| u8::from_str_radix(&digest[at..at + 2], 16).unwrap_or_default();
    [0x02, byte(0), byte(2), byte(4), byte(6), byte(8)]
}
