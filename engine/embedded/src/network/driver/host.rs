//! The driver of `network_mode: host`: a task is where the host is, and nothing is made for it.

use super::{Driver, Namespace, Site, makes_none};
use crate::network::{Network, NetworkError, NetworkFinding};
use crate::root::record::Endpoint;
use keel_engine::NetworkSpec;
use keel_engine::fields::NetworkReader;
use std::os::fd::BorrowedFd;

/// The host's own network.
pub(super) struct HostDriver;

impl Driver for HostDriver {
    fn name(&self) -> &'static str {
        "host"
    }

    fn namespace(&self) -> Namespace {
        Namespace::Host
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
