//! The drivers of `network_mode: host` and `none`: they only say where a task is, and nothing is made for it.

use super::{Driver, Namespace, Site, makes_none};
use crate::network::{Network, NetworkError, NetworkFinding};
use crate::root::record::Endpoint;
use keel_engine::NetworkSpec;
use keel_engine::fields::NetworkReader;
use std::os::fd::BorrowedFd;

/// A driver of which there are no networks.
pub(super) struct Unmade {
    name: &'static str,
    namespace: Namespace,
}

/// A task is where the host is.
pub(super) const HOST: Unmade = Unmade { name: "host", namespace: Namespace::Host };

/// A task has loopback, and nothing leads to it or out.
pub(super) const NONE: Unmade = Unmade { name: "none", namespace: Namespace::Own };

impl Driver for Unmade {
    fn name(&self) -> &'static str {
        self.name
    }

    fn namespace(&self) -> Namespace {
        self.namespace
    }

    fn create(&self, _: &Site<'_>, spec: &NetworkSpec) -> Result<Network, NetworkError> {
        Err(makes_none(self, spec))
    }

    fn repair(&self, _: &Network) -> Result<(), NetworkError> {
        Ok(())
    }

    fn check(&self, _: &Network, _: NetworkReader) -> Result<Vec<NetworkFinding>, NetworkError> {
        Ok(Vec::new())
    }

    fn remove(&self, _: &Network) -> Result<(), NetworkError> {
        Ok(())
    }

    fn join(&self, _: &Endpoint, _: BorrowedFd<'_>) -> Result<(), NetworkError> {
        Ok(())
    }

    fn is_joined(&self, _: &Endpoint) -> Result<bool, NetworkError> {
        Ok(true)
    }

    fn leave(&self, _: &Endpoint) -> Result<(), NetworkError> {
        Ok(())
    }

    fn forwarded<'a>(&self, _: &'a Network) -> Option<&'a str> {
        None
    }
}
