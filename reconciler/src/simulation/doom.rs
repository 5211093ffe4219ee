//! The moment at which a controller dies: after so many of the writes and messages that it makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// What is to become of one life of the controller.
#[derive(Clone)]
pub(super) struct Doom(Arc<Fate>);

struct Fate {
    /// Edges that are left.
    left: AtomicU64,
    died: Notify,
}

impl Doom {
    /// It lives until it is told otherwise.
    pub fn none() -> Self {
        let left = AtomicU64::new(u64::MAX);
        Self(Arc::new(Fate { left, died: Notify::new() }))
    }

    /// It dies at the edge after so many more.
    pub fn after(&self, edges: u64) {
        self.0.left.store(edges, Ordering::SeqCst);
    }

    /// Before and after each write, and before and after each message: here it dies, if it shall. Whoever
    /// dies goes no further.
    pub async fn edge(&self) {
        let left = self.0.left.load(Ordering::SeqCst);
        if left == 0 {
            self.0.died.notify_one();
            std::future::pending::<()>().await;
        }
        if left != u64::MAX {
            self.0.left.store(left - 1, Ordering::SeqCst);
        }
    }

    /// Returns once it has died.
    pub async fn happens(&self) {
        self.0.died.notified().await;
    }
}
