//! Who belongs to the pool, as the record says at this moment: asked at each handshake, and awaited by whatever
//! serves a live connection.

use super::certificate::Subject;
use super::registry::Registry;
use std::sync::Arc;
use tokio::sync::watch;

/// The present record. Clones see the same one.
#[derive(Debug, Clone)]
pub struct Roster(Arc<watch::Sender<Arc<Registry>>>);

impl Roster {
    /// A roster with this record.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(registry))))
    }

    /// The record.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        self.0.borrow().clone()
    }

    /// The record, and each one that takes its place.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Registry>> {
        self.0.subscribe()
    }

    /// Puts the changed record in place, and wakes all who serve connections.
    pub fn publish(&self, registry: Registry) {
        self.0.send_replace(Arc::new(registry));
    }

    /// Whether a node belongs to the pool, with the key that it has shown.
    #[must_use]
    pub fn knows(&self, subject: &Subject) -> bool {
        knows(&self.0.borrow(), subject)
    }

    /// Ends when the node does not belong to the pool any more, or its key is not its own any more. Whoever serves
    /// a connection of it ends that then.
    pub async fn removed(&self, subject: &Subject) {
        let mut changes = self.0.subscribe();
        // It fails only where no roster is left: then there is nobody who could let anybody in.
        let _ = changes.wait_for(|registry| !knows(registry, subject)).await;
    }
}

fn knows(registry: &Registry, subject: &Subject) -> bool {
    registry.knows(&subject.node, subject.role, &subject.key)
}
