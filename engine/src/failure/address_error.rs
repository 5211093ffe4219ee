//! Why an address or subnet cannot be had.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Why an address or subnet cannot be had.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AddressError {
    /// IPv6 where nothing is made of it.
    #[error("network `{network}` asks for {asked}, and IPv6 networks are not supported")]
    Ipv6 {
        /// The network.
        network: String,
        /// What it asks for.
        asked: String,
    },
    /// More than one subnet.
    #[error("network `{network}` asks for {count} subnets, and only one is supported")]
    Several {
        /// The network.
        network: String,
        /// How many.
        count: usize,
    },
    /// A fixed address that another task has.
    #[error("address {address} in network `{network}` is taken by {holder}")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Where.
        network: String,
        /// By whom.
        holder: AddressHolder,
    },
    /// An address that does not lie in its network, or is not one that something may have.
    #[error("address {address} is not usable in network `{network}` ({subnet})")]
    Outside {
        /// The address.
        address: IpAddr,
        /// Where.
        network: String,
        /// Its addresses.
        subnet: String,
    },
    /// Every address of the network is taken.
    #[error("network `{network}` ({subnet}) has no free address left")]
    Full {
        /// The network.
        network: String,
        /// Its addresses.
        subnet: String,
    },
    /// A subnet that something else on this host has.
    #[error("subnet {subnet} of network `{network}` overlaps {other}")]
    Overlap {
        /// The network.
        network: String,
        /// As asked for.
        #[schemars(with = "String")]
        subnet: IpNet,
        /// What is there: a network of ours, or a route of the host.
        other: String,
    },
    /// Every pool is used up.
    #[error(
        "no free subnet for network `{network}` in 172.20.0.0 to 172.31.255.255 and 192.168.0.0/16"
    )]
    NoSubnet {
        /// The network.
        network: String,
    },
    /// A task names a network that is not there.
    #[error("network `{network}` does not exist")]
    NoNetwork {
        /// Its name.
        network: String,
    },
}

impl AddressError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { holder: AddressHolder::Gateway, .. } => {
                Some("choose another `ipv4_address`, or give the network another `gateway`".into())
            }
            Self::Taken { holder: AddressHolder::Container(name), .. } => Some(format!(
                "choose another `ipv4_address`; if {name} has the address by chance, \
                 `keel stop {name}` and `keel start {name}` give it another one"
            )),
            Self::Overlap { .. } | Self::NoSubnet { .. } => {
                Some("give the network a `subnet` that nothing else on this host uses".into())
            }
            Self::Full { .. } => Some("give the network a larger `subnet`".into()),
            Self::Ipv6 { .. } | Self::Several { .. } => {
                Some("give the network one IPv4 subnet, or none: then it gets a free one".into())
            }
            Self::Outside { .. } | Self::NoNetwork { .. } => None,
        }
    }
}

/// Who has an address.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum AddressHolder {
    /// The network's own way out.
    Gateway,
    /// The container of this name.
    Container(String),
}

impl fmt::Display for AddressHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("the gateway"),
            Self::Container(name) => f.write_str(name),
        }
    }
}
