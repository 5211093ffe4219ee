//! Which subnet a network gets, and which address a task. Pure: the host's facts come in as data.

use super::Network;
use crate::record::Endpoint;
use keel_engine::{TaskId, TaskSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// An IPv4 subnet; `172.20.0.0/16` in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

/// Why an address or subnet cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not an address, or not a subnet.
    #[error("`{given}` is not {wanted}")]
    Invalid {
        /// As written.
        given: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A fixed address that another task has.
    #[error("address {address} in network `{network}` is taken by {holder}")]
    Taken {
        /// The address.
        address: Ipv4Addr,
        /// Where.
        network: String,
        /// By whom: a container's name, or `the gateway`.
        holder: String,
    },
    /// A task names a network that is not there.
    #[error("network `{network}` does not exist")]
    NoNetwork {
        /// Its name.
        network: String,
    },
}

impl TryFrom<String> for Subnet {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        todo!()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        format!("{}/{}", subnet.base, subnet.prefix)
    }
}

/// A task's place in each of its networks, in order. `networks` by full name; `taken` are the
/// endpoints of the root's other tasks with the name to print in a conflict; `preferred` those of
/// the task before it in the slot (used where free).
///
/// Names in each network: the attachment's aliases, the container's name, the short id, in this
/// order.
pub fn endpoints(
    id: &TaskId,
    spec: &TaskSpec,
    networks: &BTreeMap<String, Network>,
    taken: &[(String, Endpoint)],
    preferred: &[Endpoint],
) -> Result<Vec<Endpoint>, AddressError> {
    todo!()
}
