//! The inside of a task's network namespace: addresses, routes, up. The same whatever driver put the links there.
//!
//! A namespace is entered by a thread that ends with it, so that no other work ever runs there.

use super::link::Links;
use super::settings::disable_ipv6;
use crate::root::record::Endpoint;
use nix::sched::{CloneFlags, setns, unshare};
use std::io;
use std::os::fd::BorrowedFd;

/// Sets the links right that are there. An error if one is not.
pub(super) fn set_up(endpoints: &[Endpoint], netns: BorrowedFd<'_>) -> io::Result<()> {
    inside(netns, || configure(endpoints))
}

/// Runs in the namespace.
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

/// Does something in a network namespace, on a thread of its own.
pub(crate) fn inside<T: Send>(
    netns: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    on_own_thread(|| {
        setns(netns, CloneFlags::CLONE_NEWNET)?;
        work()
    })
}

/// The same in a new one, with its loopback interface up.
pub(crate) fn in_new<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        up(&mut Links::open()?, "lo")?;
        work()
    })
}

fn on_own_thread<T: Send>(entered: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, entered)?;
        thread.join().map_err(|_| io::Error::other("the thread in the namespace panicked"))?
    })
}
