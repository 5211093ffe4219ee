//! Networks of this host: what drivers make of them, addresses, firewall, published ports.
//!
//! All calls are synchronous and take milliseconds: an async caller wraps them in
//! `spawn_blocking`. They act on the network namespace of the calling thread.
//!
//! # Invariants
//! - Everything is idempotent: whoever is not sure calls it again.
//! - Links and tables carry the root's key; nothing else is touched, but for the accept rules
//!   that carry it as their comment (see `foreign`).
//! - Chains, sets and links are the engine's; the elements of the port tables are `keel net`'s.
//!
//! # Not here
//! Names inside containers, and who is behind a published port: [`crate::resolver`].

pub mod addresses;
mod driver;
mod error;
mod firewall;
pub(crate) mod flows;
pub(crate) mod foreign;
mod in_use;
pub(crate) mod link;
mod made;
pub(crate) mod namespace;
pub(crate) mod netlink;
pub(crate) mod nft;
pub(crate) mod notices;
pub(crate) mod own_addresses;
mod pools;
pub(crate) mod port_table;
pub mod ports;
mod settings;
pub(crate) mod stored;
mod veth;

pub use addresses::{Taken, endpoints};
pub(crate) use driver::{Namespace, namespace};
pub use error::NetworkError;
pub(crate) use error::kernel;
pub use made::{Network, NetworkFinding};

use crate::root::layout::Layout;
use crate::root::record::Endpoint;
use driver::{Driver, Site};
use firewall::{Forwarded, bridge_prefix};
use keel_engine::fields::NETWORK_FIELDS;
use keel_engine::{FieldPath, NetworkSpec, TaskId};
use keel_names::driver::declarable;
use link::Links;
use nft::read;
use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether a network can be asked for: by its driver, which this node may lack.
pub(crate) fn can_be_made(spec: &NetworkSpec) -> Result<(), NetworkError> {
    let driver = driver::of(&spec.name, &spec.driver)?;
    let declared = declarable().any(|name| name == driver.name());
    if declared { Ok(()) } else { Err(driver::makes_none(driver, spec)) }
}

/// Makes the network, or makes it whole again: what its driver makes, firewall.
/// `known` is what an earlier call gave for this name (its addresses are kept), `others` are the
/// root's other networks. Store the answer before tasks join.
pub fn ensure_network(
    layout: &Layout,
    spec: &NetworkSpec,
    known: Option<&Network>,
    others: &[&Network],
) -> Result<Network, NetworkError> {
    let lock = choosing().map_err(kernel("lock the choice of subnets"))?;
    let network = match known {
        Some(known) => {
            let network = Network { internal: spec.internal, ..known.clone() };
            driver::of(&network.name, &network.driver)?.repair(&network)?;
            network
        }
        None => driver::of(&spec.name, &spec.driver)?.create(&Site { layout, others }, spec)?,
    };
    drop(lock);
    admit(layout, &network, others)?;
    Ok(network)
}

/// Lets the packets of a network through, and makes the firewall whole.
fn admit(layout: &Layout, network: &Network, others: &[&Network]) -> Result<(), NetworkError> {
    let Some(own) = forwarded(&[network]).pop() else { return repair_firewall(layout, others) };
    let chains = read::chains().map_err(reading())?;
    firewall::ensure_one(layout, &chains, &own, || forwarded(others)).map_err(writing())?;
    foreign::ensure(layout, &chains).map_err(letting_through())
}

/// Two roots that choose at once would choose the same: a lock of this machine, not of a root. Nobody but
/// root can make or lock it: `/run/lock` is everybody's.
fn choosing() -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let lock = options.create(true).append(true).mode(0o600).open("/run/keel-subnets");
    match lock {
        Ok(file) => {
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn repair_firewall(layout: &Layout, networks: &[&Network]) -> Result<(), NetworkError> {
    let (forwarded, chains) = (forwarded(networks), read::chains().map_err(reading())?);
    firewall::ensure(layout, &chains, &forwarded).map_err(writing())?;
    foreign::ensure(layout, &chains).map_err(letting_through())
}

fn reading() -> impl FnOnce(io::Error) -> NetworkError {
    kernel("read the firewall's table")
}

fn writing() -> impl FnOnce(io::Error) -> NetworkError {
    kernel("write the firewall's table")
}

fn letting_through() -> impl FnOnce(io::Error) -> NetworkError {
    kernel("let our bridges through other firewalls")
}

/// What the firewall has to keep apart.
fn forwarded(networks: &[&Network]) -> Vec<Forwarded> {
    let of = |network: &&Network| {
        let link = driver::named(&network.driver)?.forwarded(network)?.to_owned();
        Some(Forwarded { link, internal: network.internal })
    };
    networks.iter().filter_map(of).collect()
}

/// Takes the network away. `rest` are the root's other networks: with the last one go the
/// table and all accept rules.
pub fn remove_network(
    layout: &Layout,
    network: &Network,
    rest: &[&Network],
) -> Result<(), NetworkError> {
    driver::of(&network.name, &network.driver)?.remove(network)?;
    if rest.is_empty() {
        return teardown(layout);
    }
    let own = forwarded(&[network]);
    own.iter().try_for_each(|own| firewall::forget(layout, own)).map_err(writing())
}

/// Puts a task into its networks: `netns` is `/proc/SHIM/ns/net`. A link that an earlier attempt
/// left is replaced. Also brings up `lo`, so call it with no endpoints for `network_mode: none`.
/// Leaving is by dropping the namespace: its links go by themselves.
pub fn connect(endpoints: &[Endpoint], netns: &Path) -> Result<(), NetworkError> {
    let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.network.as_str()).collect();
    let what = || kernel(format!("join {} in {}", names.join(", "), netns.display()));
    let space = File::open(netns).map_err(what())?;
    for endpoint in endpoints {
        driver_of(endpoint)?.join(endpoint, space.as_fd())?;
    }
    namespace::set_up(endpoints, space.as_fd()).map_err(what())
}

fn driver_of(endpoint: &Endpoint) -> Result<&'static dyn Driver, NetworkError> {
    driver::of(&endpoint.network, &endpoint.driver)
}

/// Sets a task's links right, where they are: addresses, routes, up. An error if one is not there.
pub fn set_up(endpoints: &[Endpoint], netns: &Path) -> Result<(), NetworkError> {
    let what = format!("set up the network in {}", netns.display());
    let space = File::open(netns);
    space.and_then(|space| namespace::set_up(endpoints, space.as_fd())).map_err(kernel(what))
}

/// Whether an endpoint's side on this host is whole.
pub fn is_plugged(endpoint: &Endpoint) -> Result<bool, NetworkError> {
    driver_of(endpoint)?.is_joined(endpoint)
}

/// Deletes the host's side of an endpoint whose namespace is gone or stuck.
pub fn disconnect(endpoint: &Endpoint) -> Result<(), NetworkError> {
    driver_of(endpoint)?.leave(endpoint)
}

/// Whose links and ports [`check`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those of some networks, by name, and of some tasks.
    Of {
        /// Networks.
        networks: BTreeSet<String>,
        /// Tasks.
        tasks: BTreeSet<TaskId>,
    },
}

impl Scope {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of { networks, .. } => networks.contains(name),
        }
    }
}

/// What differs from what was made: what drivers make, chains, rules. Empty on an untouched host. The
/// firewall is one for all, so `networks` are all that there are. The elements of the port tables are
/// `keel net`'s: [`crate::resolver`] compares them.
pub fn check(
    layout: &Layout,
    networks: &[&Network],
    scope: &Scope,
) -> Result<Vec<NetworkFinding>, NetworkError> {
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    for network in networks.iter().filter(|network| scope.has(&network.name)) {
        match driver::named(&network.driver) {
            Some(driver) => findings.extend(read_back(driver, network)?),
            None => findings.push(no_driver(network)),
        }
    }
    let (forwarded, chains) = (forwarded(networks), read::chains().map_err(reading())?);
    findings.extend(firewall::differences(layout, &chains, &forwarded).map_err(reading())?);
    findings.extend(settled(|| foreign::differences(layout)).map_err(reading())?);
    Ok(findings)
}

/// All of its fields that can be read back.
fn read_back(driver: &dyn Driver, network: &Network) -> Result<Vec<NetworkFinding>, NetworkError> {
    let readers = NETWORK_FIELDS.iter().filter_map(|row| row.readback.reader());
    let found: Result<Vec<_>, _> = readers.map(|reader| driver.check(network, reader)).collect();
    Ok(found?.concat())
}

/// A newer version made it, with a driver that this one lacks.
fn no_driver(network: &Network) -> NetworkFinding {
    let what = FieldPath::NetworkDriver(network.driver.clone());
    NetworkFinding::of(network, what, "present", "missing")
}

/// What `keel net` writes follows the records by some milliseconds: only what stays is a
/// difference.
pub(crate) fn settled(
    look: impl Fn() -> io::Result<Vec<NetworkFinding>>,
) -> io::Result<Vec<NetworkFinding>> {
    let deadline = Instant::now() + Duration::from_millis(500);
    loop {
        let findings = look()?;
        if findings.is_empty() || Instant::now() >= deadline {
            return Ok(findings);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Makes whole what [`check`] finds, but for a network whose driver is missing: that keeps no other from being
/// repaired, and its own tasks from being started.
pub fn repair(layout: &Layout, networks: &[&Network]) -> Result<(), NetworkError> {
    for network in networks {
        driver::named(&network.driver).map_or(Ok(()), |driver| driver.repair(network))?;
    }
    if networks.is_empty() { Ok(()) } else { repair_firewall(layout, networks) }
}

/// Removes every link, table and accept rule of this root.
pub fn teardown(layout: &Layout) -> Result<(), NetworkError> {
    delete_links(layout).map_err(kernel("delete the root's links"))?;
    firewall::remove(layout).map_err(kernel("delete the firewall's table"))?;
    foreign::remove(layout).map_err(kernel("delete our rules in other firewalls"))
}

/// Every link that carries the root's key.
fn delete_links(layout: &Layout) -> io::Result<()> {
    let prefixes = [format!("kv{}-", layout.key()), bridge_prefix(layout)];
    let mut links = Links::open()?;
    for link in links.all()? {
        if prefixes.iter().any(|prefix| link.name.starts_with(prefix)) {
            links.delete(&link.name)?;
        }
    }
    Ok(())
}
