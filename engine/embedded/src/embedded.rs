//! [`Embedded`]: the contract on this machine. Each method's work is in a file of its own.

use crate::blocking::failed;
use crate::desk::Desk;
use crate::images::Images;
use crate::resolver::keeper::NameKeeper;
use crate::root::contents;
use crate::session::open::Sessions;
use crate::session::waiting::Waiting;
use crate::task::adopt::adopt_all;
use crate::task::drivers::Drivers;
use crate::task::queue::Queue;
use crate::task::wishes::Wishes;
use crate::task::work::Steps;
use crate::view::docker::Docker;
use crate::view::look::Observer;
use crate::view::{View, events};
use crate::{
    Layout, Options, blocking,
    root::{ground, probe},
    sweeping,
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use keel_engine::{
    Assignment, Depth, Digest, Duplex, Engine, EngineError, Event, Lease, LentLogin, Login,
    Observation, Open, Result, Sweep, Swept, Usage,
};
use std::sync::Arc;
use tokio::sync::broadcast;

/// So many events may wait for a slow listener before it misses some.
const EVENTS: usize = 1024;

/// The engine of this machine, for one root.
pub struct Embedded {
    desk: Arc<Desk>,
    drivers: Arc<Drivers>,
    wishes: Wishes,
    sessions: Sessions,
    observer: Arc<Observer>,
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
        let (view, queue) = (Arc::new(view), Arc::new(Queue::new()));
        let hints = events::listen(Arc::clone(&view), Arc::clone(&queue), events.clone());
        let desk = Arc::new(Desk::new(layout, options, images, events, view));
        let names = Arc::new(NameKeeper::new(Arc::clone(&desk)));
        let embedded = Self::around(desk, queue, Arc::clone(&names), tokio::spawn(hints));
        if drive {
            adopt_all(&embedded.desk, &embedded.drivers, &names).await?;
        }
        Ok(embedded)
    }

    /// Those who work with what is shared.
    fn around(
        desk: Arc<Desk>,
        queue: Arc<Queue>,
        names: Arc<NameKeeper>,
        listening: tokio::task::JoinHandle<()>,
    ) -> Self {
        let (layout, waiting) = (desk.layout.clone(), Arc::new(Waiting::default()));
        let sessions = Sessions {
            layout: layout.clone(),
            program: desk.options.executable.clone(),
            waiting: Arc::clone(&waiting),
        };
        let docker = desk.options.docker.as_deref().map(Docker::at);
        let (node, view) = (desk.options.node.clone(), Arc::clone(&desk.view));
        let observer = Arc::new(Observer { layout, node, view, docker });
        let steps = Steps { desk: Arc::clone(&desk), names, waiting };
        let drivers = Arc::new(Drivers::new(Arc::clone(&desk), queue, steps));
        let wishes = Wishes::new(Arc::clone(&desk), Arc::clone(&drivers));
        Self { desk, drivers, wishes, sessions, observer, listening }
    }

    /// Ends the driving in good order: each task's step that is under way is finished, and none
    /// is begun. To be awaited before the root's lock is let go.
    pub async fn close(&self) {
        self.drivers.close().await;
    }

    /// Returns once nothing is left to be done for any task, or only attempts that wait.
    pub async fn idle(&self) {
        self.drivers.idle().await;
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
        self.desk.end();
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn observe(&self, depth: Depth) -> Result<Observation> {
        self.observer.look(depth).await
    }

    async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        self.wishes.take(None, wishes).await
    }

    async fn assign_under(&self, lease: &Lease, wishes: &[Assignment]) -> Result<()> {
        self.wishes.take(Some(lease), wishes).await
    }

    async fn lease(&self) -> Result<Lease> {
        self.desk.grant().await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.desk.turn_under(Some(lease)).await.map(drop)
    }

    fn release(&self, lease: &Lease) {
        self.desk.end_lease(lease);
    }

    async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        sweeping::sweep_room(&self.desk, None, sweep).await
    }

    async fn sweep_under(&self, lease: &Lease, sweep: &Sweep) -> Result<Swept> {
        sweeping::sweep_room(&self.desk, Some(lease), sweep).await
    }

    async fn usage(&self) -> Result<Usage> {
        sweeping::usage(&self.desk).await
    }

    async fn handed(&self, digest: &Digest) -> Result<Option<Assignment>> {
        let (layout, digest) = (self.desk.layout.clone(), *digest);
        blocking::run(move || contents::handed(&layout, &digest))
            .await
            .map_err(failed("cannot read content"))
    }

    async fn login_for(&self, registry: &str) -> Result<Option<Login>> {
        self.desk.images.login(registry).await
    }

    async fn lend(&self, logins: &[LentLogin]) -> Result<()> {
        self.desk.must_drive()?;
        self.desk.images.lend(logins)?;
        self.drivers.wake_waiting();
        Ok(())
    }

    fn events(&self) -> BoxStream<'static, Event> {
        events::stream(self.desk.listener())
    }

    async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        self.sessions.open(what).await
    }
}
