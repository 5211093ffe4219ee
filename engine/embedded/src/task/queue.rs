//! Which tasks' drivers have something to do, and what wakes one. What a driver does, it knows itself.

use keel_engine::TaskId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

/// The drivers that there are, one for each task.
pub(crate) struct Queue {
    by_task: Mutex<HashMap<TaskId, Arc<Driver>>>,
    /// How many drivers have something to do.
    busy: watch::Sender<usize>,
}

/// What wakes a task's driver.
#[derive(Default)]
pub(crate) struct Driver {
    woken: Notify,
    state: Mutex<Pace>,
}

/// Whether a driver works, and whether it was woken since it last looked.
#[derive(Default)]
struct Pace {
    works: bool,
    woken: bool,
    /// Its last attempt failed, and another follows after a pause.
    waits: bool,
    /// The generation that it made ready last, unless that was used since.
    prepared: Option<u64>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { by_task: Mutex::default(), busy: watch::Sender::new(0) }
    }

    fn by_task(&self) -> MutexGuard<'_, HashMap<TaskId, Arc<Driver>>> {
        self.by_task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a task's driver to look again; has it started if there is none.
    pub(crate) fn wake(&self, id: &TaskId, start: impl FnOnce(Arc<Driver>)) {
        let mut by_task = self.by_task();
        let driver = by_task.entry(id.clone()).or_insert_with(|| {
            let driver = Arc::new(Driver::default());
            start(Arc::clone(&driver));
            driver
        });
        self.wake_driver(driver);
    }

    /// The same, but only if it has one.
    pub(crate) fn wake_known(&self, id: &TaskId) {
        self.by_task().get(id).iter().for_each(|driver| self.wake_driver(driver));
    }

    /// Nobody knows what changed.
    pub(crate) fn wake_all_known(&self) {
        self.by_task().values().for_each(|driver| self.wake_driver(driver));
    }

    /// Something came or went that a failed attempt of another task may have lacked.
    pub(crate) fn wake_waiting(&self) {
        let by_task = self.by_task();
        let waiting = by_task.values().filter(|driver| driver.pace().waits);
        waiting.for_each(|driver| self.wake_driver(driver));
    }

    /// A driver has something to do.
    pub(crate) fn wake_driver(&self, driver: &Driver) {
        driver.wake(&self.busy);
    }

    /// A driver has nothing to do until it is woken, unless it was woken since it looked.
    pub(crate) fn rest(&self, driver: &Driver) -> bool {
        driver.rest(&self.busy)
    }

    /// The same, with an attempt that is to be repeated after a pause.
    pub(crate) fn rest_after_failure(&self, driver: &Driver) {
        driver.pace().waits = true;
        self.rest(driver);
    }

    /// Forgets a driver whose task is gone, unless it was woken since it looked.
    pub(crate) fn forget(&self, id: &TaskId, driver: &Driver) -> bool {
        let mut by_task = self.by_task();
        let gone = self.rest(driver);
        if gone {
            by_task.remove(id);
        }
        gone
    }

    /// Returns once no driver has anything to do.
    pub(crate) async fn idle(&self) {
        // An error would mean that the sender is gone, which is `self`.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }
}

impl Driver {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, busy: &watch::Sender<usize>) {
        let mut pace = self.pace();
        pace.woken = true;
        if !pace.works {
            pace.works = true;
            busy.send_modify(|busy| *busy += 1);
        }
        self.woken.notify_one();
    }

    /// It looks now.
    pub(crate) fn begin(&self) {
        let mut pace = self.pace();
        (pace.woken, pace.waits) = (false, false);
    }

    /// Counts as busy still if it was woken since it looked.
    fn rest(&self, busy: &watch::Sender<usize>) -> bool {
        let mut pace = self.pace();
        if pace.works && !pace.woken {
            pace.works = false;
            busy.send_modify(|busy| *busy -= 1);
        }
        !pace.works
    }

    /// Remembers that all is ready for a generation.
    pub(crate) fn prepared(&self, generation: u64) {
        self.pace().prepared = Some(generation);
    }

    /// Whether all is ready for a generation. True once: whatever fails after that may be for
    /// something that is to be made ready again.
    pub(crate) fn takes_prepared(&self, generation: u64) -> bool {
        self.pace().prepared.take() == Some(generation)
    }

    /// Waits until somebody wakes the driver, also in the middle of a step.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}
