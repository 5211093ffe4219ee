//! [`Embedded`]: the contract on this machine. Each method's work is in a file of its own.

use crate::core::Core;
use crate::images::Images;
use crate::view::View;
use crate::view::events;
use crate::{
    Layout, Options, blocking,
    root::{ground, probe},
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, Lease, Observation, Open, Result, Sweep,
    Swept, Usage,
};
use std::sync::Arc;
use tokio::sync::broadcast;

/// So many events may wait for a slow listener before it misses some.
const EVENTS: usize = 1024;

/// The engine of this machine, for one root.
pub struct Embedded {
    core: Arc<Core>,
    listening: tokio::task::JoinHandle<()>,
}

impl Embedded {
    /// Opens a root. With [`Options::drive`] it goes on with every wish found there: what runs is
    /// adopted as it is, what a reboot ended starts again. Dropping it ends only the driving.
    pub async fn open(layout: Layout, options: Options) -> Result<Self> {
        let drive = options.drive;
        if drive {
            equipped()?;
        }
        layout
            .make_root()
            .map_err(blocking::failed(format!("cannot make {}", layout.root().display())))?;
        if drive {
            ground::check(&layout)?;
            // Without it only a full disk is harder to get out of.
            let _ = keel_durable::keep_reserve(layout.root());
        }
        let (events, _) = broadcast::channel(EVENTS);
        let sender = events.clone();
        let failed = blocking::failed(format!("cannot watch {}", layout.root().display()));
        let images = Arc::new(Images::open(&layout, &options, sender)?);
        let view = View::new(&layout, Arc::clone(&images)).map_err(failed)?;
        let core = Arc::new(Core::new(layout, options, images, events, Arc::new(view)));
        let listening = tokio::spawn(Core::listen(Arc::downgrade(&core)));
        let embedded = Self { core, listening };
        if drive {
            embedded.core.adopt_all().await?;
        }
        Ok(embedded)
    }

    /// Ends the driving in good order: each task's step that is under way is finished, and none
    /// is begun. To be awaited before the root's lock is let go.
    pub async fn close(&self) {
        self.core.close().await;
    }

    /// Returns once nothing is left to be done for any task, or only attempts that wait.
    pub async fn idle(&self) {
        self.core.idle().await;
    }
}

/// Says what this machine lacks before anything fails for it.
fn equipped() -> Result<()> {
    let lacks = probe::essentials();
    let Some(first) = lacks.first() else { return Ok(()) };
    let names: Vec<_> = lacks.iter().map(ToString::to_string).collect();
    Err(EngineError::Conflict {
        what: format!("this machine cannot run containers: it lacks {}", names.join(", ")),
        hint: Some(first.remedy.clone()),
    })
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.listening.abort();
        self.core.end();
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn observe(&self, depth: Depth) -> Result<Observation> {
        self.core.look(depth).await
    }

    async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        self.core.take(None, wishes).await
    }

    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        self.core.take(Some(lease), wishes).await
    }

    async fn lease(&self) -> Result<Lease> {
        self.core.grant().await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.core.turn_under(Some(lease)).await.map(drop)
    }

    fn release(&self, lease: &Lease) {
        self.core.ungrant(lease);
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        self.core.sweep_room(None, sweep).await
    }

    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept> {
        self.core.sweep_room(Some(lease), sweep).await
    }

    async fn usage(&self) -> Result<Usage> {
        self.core.usage().await
    }

    fn events(&self) -> BoxStream<'static, Event> {
        events::stream(self.core.events.subscribe())
    }

    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        self.core.open(what).await
    }
}
