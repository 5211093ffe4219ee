//! How the replacement of a pool's authority goes on: nodes that are connected are asked to renew, a batch at a time,
//! and the former root is dropped once all have. It goes on where it was after a restart of the controller.

use crate::identity::{
    AuthorityError, AuthorityLedger, Pin, PoolAuthority, Registry, Roster, RotationProgress,
    next_batch, patience,
};
use crate::transport::Switchboard;
use keel_engine::NodeName;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What it takes.
pub(crate) struct Rotating {
    pub authorities: AuthorityLedger,
    pub roster: Roster,
    pub switchboard: Arc<Switchboard>,
}

/// Who was asked to renew, and when.
#[derive(Default)]
struct Asked {
    issuer: Option<Pin>,
    nodes: BTreeMap<NodeName, Instant>,
}

impl Rotating {
    /// Goes on with whatever rotation is under way, for as long as this is polled. `told` hears how each ends.
    pub(crate) async fn keep(self, told: impl Fn(Result<(), AuthorityError>) + Send) -> Infallible {
        let mut authorities = self.authorities.present().changes();
        let mut registries = self.roster.changes();
        let mut connections = self.switchboard.connections();
        let mut asked = Asked::default();
        loop {
            connections.mark_unchanged();
            let authority = authorities.borrow_and_update().clone();
            let registry = registries.borrow_and_update().clone();
            if asked.issuer != Some(authority.pin()) {
                asked = Asked { issuer: Some(authority.pin()), ..Asked::default() };
            }
            let is_waiting = self.go_on(&authority, &registry, &mut asked.nodes, &told).await;
            tokio::select! {
                _ = authorities.changed() => {}
                // Each renewal, and whoever is removed.
                _ = registries.changed() => {}
                _ = connections.changed() => {}
                // Those who were asked hold nobody else up any more; a full disk may take the record again.
                () = tokio::time::sleep(patience()), if is_waiting => {}
            }
        }
    }

    /// Asks who is next, or ends the rotation; says whether one is still under way.
    async fn go_on(
        &self,
        authority: &PoolAuthority,
        registry: &Registry,
        asked: &mut BTreeMap<NodeName, Instant>,
        told: &impl Fn(Result<(), AuthorityError>),
    ) -> bool {
        if authority.rotation().is_none() {
            return false;
        }
        let progress = RotationProgress::of(registry, authority.signing());
        progress.renewed.iter().for_each(|name| self.switchboard.far(name).ask_to_renew(None));
        if !progress.is_complete() {
            self.ask(authority, &progress.waiting, asked);
            return true;
        }
        match self.authorities.settle().await {
            Ok(true) => told(Ok(())),
            Ok(false) => {}
            Err(error) => {
                told(Err(error));
                return true;
            }
        }
        false
    }

    fn ask(
        &self,
        authority: &PoolAuthority,
        waiting: &[NodeName],
        asked: &mut BTreeMap<NodeName, Instant>,
    ) {
        let is_connected = |name: &&NodeName| self.switchboard.far(name).away().is_none();
        let connected: Vec<_> = waiting.iter().filter(is_connected).cloned().collect();
        let since: BTreeMap<_, Duration> =
            asked.iter().map(|(name, since)| (name.clone(), since.elapsed())).collect();
        for name in next_batch(&connected, &since) {
            self.switchboard.far(&name).ask_to_renew(Some(authority.pin().to_string()));
            asked.insert(name, Instant::now());
        }
    }
}
