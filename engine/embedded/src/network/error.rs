//! Why something about a network cannot be done.

use crate::task::step_error::in_words;
use keel_engine::{AddressError, Failure, FailureKind};
use std::io;

/// Why a network could not be made, joined, checked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// An address that cannot be had.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A driver that this node lacks.
    #[error("this node has no driver `{driver}` for network `{network}`, only {has}")]
    NoDriver {
        /// The network.
        network: String,
        /// Its driver, as it was asked for.
        driver: String,
        /// Those that there are.
        has: String,
    },
    /// A driver that is a task's way to do without networks.
    #[error(
        "driver `{driver}` makes no network `{network}`: it is what `network_mode: {driver}` has"
    )]
    NotDeclared {
        /// The network.
        network: String,
        /// The driver.
        driver: &'static str,
    },
    /// Another network's bridge has the name that this one's would have: names of links are short.
    #[error("network {name} would share its bridge {bridge} with network {other}")]
    Twin {
        /// The one that is asked for.
        name: String,
        /// The one that is there.
        other: String,
        /// The bridge's name.
        bridge: String,
    },
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
        match self {
            Self::Address(error) => error.hint(),
            Self::NoDriver { .. } | Self::NotDeclared { .. } => {
                Some("give the network no `driver`: then it is a bridge".into())
            }
            Self::Twin { .. } => Some("give it another `name`".into()),
            Self::Kernel { source, .. } => match source.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => Some(
                    "this kernel needs bridge, veth and nf_tables (modules `bridge`, `veth`, \
                     `nf_tables`, `nft_chain_nat`, `nft_masq`, `nft_fib_ipv4`, `nft_numgen`)"
                        .into(),
                ),
                Some(libc::EPERM | libc::EACCES) => Some("this needs root (CAP_NET_ADMIN)".into()),
                _ => None,
            },
        }
    }
}

impl From<NetworkError> for Failure {
    fn from(error: NetworkError) -> Self {
        let kind = match error {
            NetworkError::Address(error) => return FailureKind::Address(error).into(),
            NetworkError::NoDriver { network, driver, has } => {
                return FailureKind::NoDriver { network, driver, has }.into();
            }
            NetworkError::Kernel { ref source, .. } => FailureKind::of(source),
            NetworkError::NotDeclared { .. } | NetworkError::Twin { .. } => FailureKind::Other,
        };
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self { kind, text: in_words(&error) + &hint }
    }
}

pub(crate) fn kernel(what: impl Into<String>) -> impl FnOnce(io::Error) -> NetworkError {
    let what = what.into();
    |source| NetworkError::Kernel { what, source }
}
