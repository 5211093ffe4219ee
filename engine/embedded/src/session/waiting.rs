//! Who waits to see a run from its beginning.

use keel_engine::TaskId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long a run waits for those who want to see it from its beginning.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who waits for which run.
#[derive(Default)]
pub(crate) struct Waiting {
    counts: Mutex<HashMap<TaskId, watch::Sender<usize>>>,
}

/// One who waits, until dropped.
pub(crate) struct Waiter<'a> {
    waiting: &'a Waiting,
    task: TaskId,
}

impl Waiting {
    pub(crate) fn add(&self, task: &TaskId) -> Waiter<'_> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(task.clone()).or_insert_with(|| watch::Sender::new(0));
        count.send_modify(|count| *count += 1);
        Waiter { waiting: self, task: task.clone() }
    }

    /// Waits a while for those who want to see the run from its beginning.
    pub(crate) async fn attached(&self, task: &TaskId) {
        let Some(mut count) = self.of(task) else { return };
        // Whoever is late misses the beginning; an error means that nobody waits any more.
        let _ = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count == 0)).await;
    }

    fn of(&self, task: &TaskId) -> Option<watch::Receiver<usize>> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(task).map(watch::Sender::subscribe)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut counts = self.waiting.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get(&self.task) {
            count.send_modify(|count| *count -= 1);
            if *count.borrow() == 0 {
                counts.remove(&self.task);
            }
        }
    }
}
