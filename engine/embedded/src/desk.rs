//! What all parts of one engine share. It knows none of those who work with it.

use crate::images::Images;
use crate::network::stored::Networks;
use crate::root::granted::Granted;
use crate::view::View;
use crate::{Layout, Options, RootLock, Turn};
use keel_engine::{EngineError, Event, Lease, Result};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// The root, what is known of it, and who works at it.
pub(crate) struct Desk {
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) images: Arc<Images>,
    pub(crate) networks: Networks,
    /// What exists.
    pub(crate) view: Arc<View>,
    events: broadcast::Sender<Event>,
    /// Held while a task's wishes are judged, moved or deleted.
    pub(crate) taking: tokio::sync::Mutex<()>,
    granted: Granted,
    /// Who holds the lock, where that is for as long as the engine is open.
    driver: OnceLock<(String, u64)>,
    /// Nothing further is begun.
    closing: watch::Sender<bool>,
    running: Mutex<JoinSet<()>>,
}

impl Desk {
    pub(crate) fn new(
        layout: Layout,
        options: Options,
        images: Arc<Images>,
        events: broadcast::Sender<Event>,
        view: Arc<View>,
    ) -> Self {
        Self {
            layout,
            options,
            images,
            networks: Networks::default(),
            view,
            events,
            taking: tokio::sync::Mutex::default(),
            granted: Granted::default(),
            driver: OnceLock::new(),
            closing: watch::Sender::new(false),
            running: Mutex::default(),
        }
    }

    /// Tells whoever listens; nobody may.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Whoever listens from now on.
    pub(crate) fn listener(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Whoever only looks changes nothing.
    pub(crate) fn must_drive(&self) -> Result<()> {
        if self.options.drive {
            return Ok(());
        }
        Err(EngineError::Conflict {
            what: format!("{} is driven by another keel", self.layout.root().display()),
            hint: None,
        })
    }

    /// To be held while anything below the root is changed. Once it is refused, nothing is driven
    /// from here any more: somebody else does, for good.
    pub(crate) async fn turn_at_root(&self) -> Result<Option<Turn>> {
        let Some(lease) = &self.options.lease else { return Ok(None) };
        let turn = lease.turn().await;
        if matches!(turn, Err(EngineError::Driven { .. })) {
            self.stop();
        }
        turn.map(Some)
    }

    /// Waits for a turn, and grants it.
    pub(crate) async fn grant(&self) -> Result<Lease> {
        let turn = self.turn_at_root().await?;
        let for_life = || self.driver.get_or_init(|| self.signed()).clone();
        let driver = turn.as_ref().map_or_else(for_life, Turn::holder);
        Ok(self.granted.add(driver, turn))
    }

    /// A turn of one's own, or a further one under a lease that holds.
    pub(crate) async fn turn_under(&self, lease: Option<&Lease>) -> Result<Option<Turn>> {
        let Some(lease) = lease else { return self.turn_at_root().await };
        let driven = || EngineError::Driven { by: self.signed().0 };
        self.granted.turn(lease).ok_or_else(driven)
    }

    /// Ends a lease, if it is not over already.
    pub(crate) fn end_lease(&self, lease: &Lease) {
        self.granted.end(lease);
    }

    /// Who drives the root, by what stands in its lock.
    fn signed(&self) -> (String, u64) {
        let holder = RootLock::holder(&self.layout).unwrap_or_default();
        (holder.to_string(), holder.epoch)
    }

    /// From now on nothing further is begun.
    pub(crate) fn stop(&self) {
        self.closing.send_replace(true);
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Returns once nothing further shall be begun.
    pub(crate) async fn closed(&self) {
        // An error would mean that the sender is gone, which is `self`.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others run on behalf of the engine; ended with it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running();
        while running.try_join_next().is_some() {}
        running.spawn(work);
    }

    /// Returns once all that runs has ended by itself.
    pub(crate) async fn finish(&self) {
        let mut running = std::mem::take(&mut *self.running());
        while running.join_next().await.is_some() {}
    }

    /// Ends all that runs; what it was at is gone on with by the next engine.
    pub(crate) fn end(&self) {
        self.running().abort_all();
    }
}
