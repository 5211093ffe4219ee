//! The driver of `network_mode: none`: a task has loopback, and nothing leads to it or out.

use super::{Driver, Namespace, Site, makes_none};
use crate::network::{Network, NetworkError, NetworkFinding};
use crate::root::record::Endpoint;
use keel_engine::NetworkSpec;
use keel_engine::fields::NetworkReader;
use std::os::fd::BorrowedFd;

/// No network.
pub(super) struct NoneDriver;

impl Driver for NoneDriver {
    fn name(&self) -> &'static str {
        "none"
    }

    fn namespace(&self) -> Namespace {
        Namespace::Own
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
