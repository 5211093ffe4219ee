//! The network of a pool to try: a namespace for each node and one for the switch.

use super::blueprint::{Blueprint, PlannedNode};
use super::places::Trial;
use super::ranges;
use keel_embedded::lab::cabling::{self, Cable};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Namespaces, switch and cables. Whether anything had to be done.
pub fn set_up(trial: &Trial, blueprint: &Blueprint) -> io::Result<bool> {
    keel_durable::make_folder(&trial.namespaces(), 0o700)?;
    let kept = trial.switch();
    let mut changed = kept.open()?.is_none();
    kept.make()?;
    let switch = kept.open()?.ok_or(io::ErrorKind::NotFound)?;
    cabling::set_up_switch(switch.as_fd())?;
    let link = trial.host_link();
    if !cabling::has(&link)? {
        free_still(blueprint)?;
        changed = true;
    }
    let own = File::open("/proc/thread-self/ns/net")?;
    let (interface, address) = (&*link, blueprint.host());
    let cable = Cable { port: "host", netns: own.as_fd(), interface, address };
    cabling::plug(switch.as_fd(), &cable)?;
    for node in blueprint.nodes() {
        changed |= !cabling::is_plugged(switch.as_fd(), &node.name)?;
        connect_node(trial, switch.as_fd(), &node)?;
    }
    Ok(changed)
}

fn connect_node(trial: &Trial, switch: BorrowedFd<'_>, node: &PlannedNode) -> io::Result<()> {
    let kept = trial.netns(&node.name);
    kept.make()?;
    let netns = kept.open()?.ok_or(io::ErrorKind::NotFound)?;
    let (port, interface, address) = (&*node.name, "eth0", node.address);
    cabling::plug(switch, &Cable { port, netns: netns.as_fd(), interface, address })
}

/// After a reboot somebody else may have the addresses.
fn free_still(blueprint: &Blueprint) -> io::Result<()> {
    let in_use = cabling::ranges_in_use()?;
    match in_use.iter().find(|other| ranges::overlap(**other, blueprint.subnet)) {
        None => Ok(()),
        Some(other) => Err(io::Error::other(format!(
            "its addresses, {}, are in use on this machine by now ({other})",
            blueprint.subnet
        ))),
    }
}
