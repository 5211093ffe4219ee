//! Networks of this host: bridges, veth pairs, addresses, firewall, published ports.
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
pub mod ports;

pub use addresses::{AddressError, Subnet, endpoints};

use crate::layout::Layout;
use crate::record::Endpoint;
use keel_engine::{NetworkSpec, TaskId};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// A network as it is on this host; the driver keeps it (in `networks/NAME`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The full name.
    pub name: String,
    /// The bridge's name.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// No way out.
    #[serde(default)]
    pub internal: bool,
}

/// Something of ours that is not as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFinding {
    /// The network that it belongs to, where it belongs to one.
    pub network: Option<String>,
    /// The tasks whose published port it is, where it is one.
    pub tasks: Vec<TaskId>,
    /// What: `bridge kl3f9c2a-12ab34`, `firewall chain forward`, `port 8080/tcp`.
    pub what: String,
    /// As it was made.
    pub expected: String,
    /// As it is: `missing`, or the other value.
    pub observed: String,
}

/// Why a network could not be made, joined, checked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// An address that is not to be had.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The kernel refused.
    #[error("cannot {what}")]
    Kernel {
        /// What was tried.
        what: String,
        /// Its answer.
        source: io::Error,
    },
}

impl NetworkError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        todo!()
    }
}

/// Makes the network, or makes it whole again: bridge, addresses, kernel settings, firewall.
/// `known` is what an earlier call gave for this name (its subnet is kept), `others` are the
/// root's other networks. Store the answer before tasks join.
pub fn ensure_network(
    layout: &Layout,
    spec: &NetworkSpec,
    known: Option<&Network>,
    others: &[Network],
) -> Result<Network, NetworkError> {
    todo!()
}

/// Takes the network away. `rest` are the root's other networks: with the last one go the
/// table and all accept rules.
pub fn remove_network(
    layout: &Layout,
    network: &Network,
    rest: &[Network],
) -> Result<(), NetworkError> {
    todo!()
}

/// Puts a task into its networks: `netns` is `/proc/SHIM/ns/net`. A link that an earlier attempt
/// left is replaced. Also brings up `lo`, so call it with no endpoints for `network_mode: none`.
/// Leaving is by dropping the namespace: its links go by themselves.
pub fn connect(endpoints: &[Endpoint], netns: &Path) -> Result<(), NetworkError> {
    todo!()
}

/// Deletes the host's side of an endpoint whose namespace is gone or stuck.
pub fn disconnect(endpoint: &Endpoint) -> Result<(), NetworkError> {
    todo!()
}

/// What differs from what was made: bridges, their addresses, chains, rules, port tables (by the
/// tasks' records as they are now). Empty on an untouched host.
pub fn check(layout: &Layout, networks: &[Network]) -> Result<Vec<NetworkFinding>, NetworkError> {
    todo!()
}

/// Makes whole what [`check`] finds. Elements of the port tables come from `keel net`, which is
/// told to write them anew (run [`crate::resolver::ensure`] first), and may take a moment.
pub fn repair(layout: &Layout, networks: &[Network]) -> Result<(), NetworkError> {
    todo!()
}

/// Removes every link, table and accept rule of this root.
pub fn teardown(layout: &Layout) -> Result<(), NetworkError> {
    todo!()
}
