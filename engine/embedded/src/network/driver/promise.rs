//! What every driver promises.

use crate::network::{Network, NetworkError, NetworkFinding};
use crate::root::layout::Layout;
use crate::root::record::Endpoint;
use keel_engine::NetworkSpec;
use keel_engine::fields::NetworkReader;
use std::os::fd::BorrowedFd;

/// One kind of networks: what is made of one on this host, and how a task gets into it.
///
/// Whatever is promised here may be asked for again by whoever is not sure that it was done: it is then
/// finished, and what is whole already stays untouched. Calls are synchronous, take milliseconds, and act on
/// the network namespace of the calling thread. What all networks share (the firewall, addresses and routes
/// inside of a task) is not a driver's.
pub(crate) trait Driver: Sync {
    /// Its name in [`keel_names::driver`].
    fn name(&self) -> &'static str;

    /// Where the tasks of its networks live.
    fn namespace(&self) -> Namespace;

    /// Chooses what a new network is, against what its neighbors have, and makes it. What an earlier attempt
    /// left whose record was not stored is no obstacle. Tasks join once the answer is stored.
    fn create(&self, site: &Site<'_>, spec: &NetworkSpec) -> Result<Network, NetworkError>;

    /// Makes whole what [`check`](Self::check) finds, tasks that are in it undisturbed.
    fn repair(&self, network: &Network) -> Result<(), NetworkError>;

    /// What of the network is not as it was made, of what a reader reads; nothing on an untouched host. Changes
    /// nothing.
    fn check(
        &self,
        network: &Network,
        reader: NetworkReader,
    ) -> Result<Vec<NetworkFinding>, NetworkError>;

    /// Takes it away with all that its tasks had of it on this host. One that is gone is removed already.
    fn remove(&self, network: &Network) -> Result<(), NetworkError>;

    /// Puts a link with the endpoint's `interface` and `mac` into a task's namespace, down and without addresses.
    /// One that an earlier attempt left is replaced, so whoever is in is not asked to join again.
    fn join(&self, endpoint: &Endpoint, netns: BorrowedFd<'_>) -> Result<(), NetworkError>;

    /// Whether the host's side of an endpoint is whole. Changes nothing.
    fn is_joined(&self, endpoint: &Endpoint) -> Result<bool, NetworkError>;

    /// Takes away what is left of an endpoint on the host, its namespace being gone or stuck; never what another
    /// task has by now.
    fn leave(&self, endpoint: &Endpoint) -> Result<(), NetworkError>;

    /// The link of the host by which it forwards the network's packets: what the firewall keeps apart from others.
    /// `None` where the host sees none of them.
    fn forwarded<'a>(&self, network: &'a Network) -> Option<&'a str>;
}

/// Where a network is made.
pub(crate) struct Site<'a> {
    /// Names that no other root has.
    pub layout: &'a Layout,
    /// The root's other networks.
    pub others: &'a [&'a Network],
}

/// The network namespace of a task that shares nobody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// Its own: what its networks put there, and loopback.
    Own,
    /// The host's.
    Host,
}

/// What a driver that makes no networks says to whoever asks for one.
pub(crate) fn makes_none(driver: &dyn Driver, spec: &NetworkSpec) -> NetworkError {
    NetworkError::NotDeclared { network: spec.name.clone(), driver: driver.name() }
}
