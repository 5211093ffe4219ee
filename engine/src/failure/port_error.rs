//! Why a port cannot be published.

use crate::Protocol;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Why a port cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PortError {
    /// Somebody has it.
    #[error("port {published}/{protocol} on {host_ip} is taken by {holder}")]
    Taken {
        /// Port on the host.
        published: u16,
        /// Transport.
        #[schemars(with = "String")]
        protocol: Protocol,
        /// Address of the host.
        host_ip: IpAddr,
        /// By whom.
        holder: PortHolder,
    },
    /// The node was to choose one, and every one is taken.
    #[error("no {protocol} port on {host_ip} is free")]
    NoneFree {
        /// Transport.
        #[schemars(with = "String")]
        protocol: Protocol,
        /// Address of the host.
        host_ip: IpAddr,
    },
    /// An IPv6 address of the host.
    #[error("port {target} asks for {host_ip}, and ports are not published on IPv6 addresses")]
    Ipv6 {
        /// Port in the container.
        target: u16,
        /// Address of the host.
        host_ip: IpAddr,
    },
}

impl PortError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Taken { published, protocol, .. } => {
                format!("publish another port, or stop what holds {published}/{protocol}")
            }
            Self::NoneFree { .. } => "publish fewer ports, or stop programs that hold some".into(),
            Self::Ipv6 { .. } => "publish it on an IPv4 address, or on all addresses".into(),
        }
    }
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PortHolder {
    /// Another service, or a container of `keel run`.
    Service {
        /// Its name: `STACK/SERVICE`, or the container's.
        name: String,
        /// The port inside of it.
        target: u16,
    },
    /// The same task publishes it twice.
    Same {
        /// Its name.
        name: String,
    },
    /// A program of the host.
    Program {
        /// As the kernel calls it.
        name: String,
        /// Its number.
        pid: u32,
    },
    /// A program that cannot be found.
    Unknown,
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { name, target } => write!(f, "{name} (port {target})"),
            Self::Same { name } => write!(f, "another port of {name}"),
            Self::Program { name, pid } => write!(f, "{name} (pid {pid})"),
            Self::Unknown => f.write_str("another program"),
        }
    }
}
