//! Whose certificate a node is asked to have: said by the controller with its answers to beats, while the pool's
//! authority is being replaced.

use std::sync::Arc;
use tokio::sync::watch;

/// The authority that is asked for, by its pin; nothing where none is. Clones know the same.
#[derive(Debug, Clone)]
pub(crate) struct WantedIssuer(Arc<watch::Sender<Option<String>>>);

impl Default for WantedIssuer {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl WantedIssuer {
    pub(crate) fn note(&self, issuer: Option<String>) {
        self.0.send_if_modified(|before| {
            let is_new = *before != issuer;
            *before = issuer;
            is_new
        });
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Returns as soon as a certificate of another authority than this one is asked for.
    pub(crate) async fn differs_from(&self, had: Option<&str>) {
        let mut changes = self.0.subscribe();
        let wanted = changes.wait_for(|issuer| issuer.is_some() && issuer.as_deref() != had);
        // It fails only where nobody is left who could ask.
        let _ = wanted.await;
    }
}
