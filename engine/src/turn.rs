//! A lease that ends with whoever holds it.

use crate::{Engine, Lease, Result};
use std::sync::Arc;

/// A lease of this process, released when it is dropped.
#[must_use = "the lease is released at once"]
pub struct Turn {
    engine: Arc<dyn Engine>,
    lease: Lease,
}

impl Turn {
    /// Waits for a lease.
    pub async fn take(engine: Arc<dyn Engine>) -> Result<Self> {
        let lease = engine.lease().await?;
        Ok(Self { engine, lease })
    }

    /// What to hand wishes over with.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.engine.release(&self.lease);
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Turn").field(&self.lease).finish()
    }
}
