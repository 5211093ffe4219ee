//! What all parts of the engine share, and the drivers: one for each task, that brings it to its
//! goal step by step.
//!
//! # Invariants
//! - Steps of one task never run at the same time; those of different tasks do.
//! - A driver that has nothing to do waits for a wish, a record or a process: it asks nobody again
//!   and again.

use crate::images::Images;
use crate::network::stored::Networks;
use crate::root::granted::Granted;
use crate::root::record::{Activity, Process};
use crate::session::waiting::Waiting;
use crate::sys::ready::register;
use crate::task::records::Records;
use crate::task::setback::{Setback, pause};
use crate::task::step::{self, Alive, Step};
use crate::view::View;
use crate::view::foreign::Docker;
use crate::{
    Layout, Options, Turn, blocking,
    root::record,
    task::{records, unanswered},
};
use keel_engine::{EngineError, Event, Goal, TaskId};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;

/// What all parts of one engine share.
pub(crate) struct Core {
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) images: Arc<Images>,
    pub(crate) networks: Networks,
    /// What exists.
    pub(crate) view: Arc<View>,
    /// Where Docker may be.
    pub(crate) docker: Option<Arc<Docker>>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Held while a task's wishes are judged, moved or deleted.
    pub(crate) taking: tokio::sync::Mutex<()>,
    pub(crate) waiting: Waiting,
    pub(crate) unanswered: unanswered::Unanswered,
    pub(crate) granted: Granted,
    /// Somebody looks after `keel net`.
    pub(crate) names_kept: AtomicBool,
    drivers: Mutex<Drivers>,
    /// How many drivers have something to do.
    busy: watch::Sender<usize>,
    /// Drivers begin no further step.
    closing: watch::Sender<bool>,
}

#[derive(Default)]
struct Drivers {
    by_task: HashMap<TaskId, Arc<Driver>>,
    running: JoinSet<()>,
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

/// What a driver does after a step.
enum Then {
    Again,
    /// Until something changes; the shim's end is such a change.
    Rest(Option<Process>),
    /// The same, with something left to do after that.
    Await(Option<Process>),
    Retry(Duration),
    Gone,
}

impl Core {
    pub(crate) fn new(
        layout: Layout,
        options: Options,
        images: Arc<Images>,
        events: broadcast::Sender<Event>,
        view: Arc<View>,
    ) -> Self {
        Self {
            docker: options.docker.as_deref().map(Docker::at),
            layout,
            view,
            waiting: Waiting::default(),
            unanswered: unanswered::Unanswered::default(),
            granted: Granted::default(),
            names_kept: AtomicBool::new(false),
            options,
            images,
            events,
            networks: Networks::default(),
            taking: tokio::sync::Mutex::default(),
            drivers: Mutex::default(),
            busy: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        }
    }

    fn drivers(&self) -> MutexGuard<'_, Drivers> {
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all drivers; what they were at is gone on with by the next ones.
    pub(crate) fn end(&self) {
        self.drivers().running.abort_all();
    }

    /// Lets each driver finish the step that it is at, and no more.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let mut running = {
            let mut drivers = self.drivers();
            drivers.by_task.values().for_each(|driver| driver.wake(&self.busy));
            std::mem::take(&mut drivers.running)
        };
        while running.join_next().await.is_some() {}
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Returns once drivers shall begin no further step.
    pub(crate) async fn closed(&self) {
        // An error would mean that the sender is gone, which is `self`.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Returns once no driver has anything to do, or may do anything.
    pub(crate) async fn idle(&self) {
        let mut busy = self.busy.subscribe();
        tokio::select! {
            // An error would mean that the sender is gone, which is `self`.
            _ = busy.wait_for(|busy| *busy == 0) => {}
            () = self.closed() => {}
        }
    }

    /// To be held while anything below the root is changed. Once it is refused, nothing is driven
    /// from here any more: somebody else does, for good.
    pub(crate) async fn turn_at_root(&self) -> keel_engine::Result<Option<Turn>> {
        let Some(lease) = &self.options.lease else { return Ok(None) };
        let turn = lease.turn().await;
        if matches!(turn, Err(EngineError::Driven { .. })) {
            self.closing.send_replace(true);
        }
        turn.map(Some)
    }

    /// Lets others run on behalf of the engine; ended with it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.drivers().spawn(work);
    }

    /// Tells a task's driver to look again; starts it if there is none.
    pub(crate) fn wake(self: &Arc<Self>, id: &TaskId) {
        if !self.options.drive {
            return;
        }
        let mut drivers = self.drivers();
        let known = drivers.by_task.get(id).cloned();
        let driver = known.unwrap_or_else(|| self.start(&mut drivers, id));
        driver.wake(&self.busy);
    }

    /// The same, but only if it has one.
    pub(crate) fn wake_known(&self, id: &TaskId) {
        let drivers = self.drivers();
        drivers.by_task.get(id).iter().for_each(|driver| driver.wake(&self.busy));
    }

    /// Nobody knows what changed.
    pub(crate) fn wake_all_known(&self) {
        self.drivers().by_task.values().for_each(|driver| driver.wake(&self.busy));
    }

    /// Something came or went that a failed attempt of another task may have lacked.
    pub(crate) fn wake_waiting(&self) {
        let drivers = self.drivers();
        let waiting = drivers.by_task.values().filter(|driver| driver.pace().waits);
        waiting.for_each(|driver| driver.wake(&self.busy));
    }

    fn start(self: &Arc<Self>, drivers: &mut Drivers, id: &TaskId) -> Arc<Driver> {
        let driver = Arc::new(Driver::default());
        drivers.by_task.insert(id.clone(), Arc::clone(&driver));
        let (core, id, own) = (Arc::clone(self), id.clone(), Arc::clone(&driver));
        drivers.spawn(async move { core.drive(&id, &own).await });
        driver
    }

    /// Forgets a driver whose task is gone, unless it was woken since it looked.
    fn forget(&self, id: &TaskId, driver: &Driver) -> bool {
        let mut drivers = self.drivers();
        let gone = driver.rest(&self.busy);
        if gone {
            drivers.by_task.remove(id);
        }
        gone
    }

    async fn drive(self: &Arc<Self>, id: &TaskId, driver: &Driver) {
        while !self.is_closing() {
            driver.begin();
            match self.turn(id, driver).await {
                Then::Again => {}
                Then::Rest(shim) => {
                    driver.rest(&self.busy);
                    tokio::select! {
                        () = driver.woken.notified() => {}
                        () = end_of(shim) => driver.wake(&self.busy),
                    }
                }
                Then::Await(shim) => {
                    tokio::select! {
                        () = driver.woken.notified() => {}
                        () = end_of(shim) => {}
                    }
                }
                Then::Retry(pause) => {
                    driver.pace().waits = true;
                    driver.rest(&self.busy);
                    tokio::select! {
                        () = driver.woken.notified() => {}
                        () = tokio::time::sleep(pause) => driver.wake(&self.busy),
                    }
                }
                Then::Gone => {
                    if self.forget(id, driver) {
                        return;
                    }
                }
            }
        }
    }

    /// One step, decided from what is.
    async fn turn(self: &Arc<Self>, id: &TaskId, driver: &Driver) -> Then {
        let (records, alive, step) = match self.due(id).await {
            Ok(due) => due,
            Err(then) => return then,
        };
        if step == Step::Rest {
            return resting(records, alive);
        }
        // Not in anybody's turn: it may take long.
        let answered = self.answer(&records.wish, step).await;
        let Ok(_turn) = self.turn_at_root().await else { return Then::Retry(pause(3)) };
        // Others had theirs meanwhile.
        let (records, alive, step) = match self.due(id).await {
            Ok(due) => due,
            Err(then) => return then,
        };
        if step == Step::Rest {
            return resting(records, alive);
        }
        if let (Err(setback), true) = (answered, unanswered::is_asked(&records.wish, step)) {
            return self.note(id, setback).await;
        }
        let waits_for = (step == Step::Stop).then(|| records.state.clone()?.shim).flatten();
        let goes_on = records.latest().goal == Goal::Running;
        let done = self.step(step, records, alive, driver).await;
        // Nobody may listen.
        let _ = self.events.send(Event::Task(id.clone()));
        if done.is_ok() && matches!(step, Step::Launch | Step::Stopped | Step::Remove) {
            self.wake_waiting();
        }
        match done {
            Ok(()) if step == Step::Remove => Then::Gone,
            // What is ended for another run is not done before that has begun.
            Ok(()) if step == Step::Stop && goes_on => Then::Await(waits_for),
            Ok(()) if step == Step::Stop => Then::Rest(waits_for),
            Ok(()) | Err(Setback::Superseded) => Then::Again,
            Err(setback) => self.note(id, setback).await,
        }
    }

    /// What a task's records and what lives of it ask for.
    async fn due(&self, id: &TaskId) -> Result<(Records, Alive, Step), Then> {
        let records = match self.records(id).await {
            Ok(Some(records)) => records,
            Ok(None) => return Err(Then::Gone),
            Err(_) => return Err(Then::Retry(pause(3))),
        };
        let alive = Alive::of(&records);
        let step = step::next(&records, alive, &keel_durable::boot_id());
        Ok((records, alive, step))
    }

    /// Writes down what went wrong, for people and for the next attempt.
    async fn note(&self, id: &TaskId, setback: Setback) -> Then {
        let (message, lasting) = match setback {
            Setback::Later(message) => (message, false),
            Setback::Never(message) => (message, true),
            Setback::Superseded => return Then::Again,
        };
        let Ok(Some(Records { wish, mut work, .. })) = self.records(id).await else {
            return Then::Retry(pause(3));
        };
        work.attempts += 1;
        work.message = Some(message);
        if lasting && work.stage != record::Stage::Launched {
            (work.stage, work.generation) = (record::Stage::Rejected, wish.generation);
        }
        let attempts = work.attempts;
        // If even this cannot be written, the attempt after the pause says the same.
        let _ = self.store_work(id, work).await;
        let _ = self.events.send(Event::Task(id.clone()));
        if lasting { Then::Again } else { Then::Retry(pause(attempts)) }
    }

    pub(crate) async fn records(&self, id: &TaskId) -> keel_engine::Result<Option<Records>> {
        let (layout, id) = (self.layout.clone(), id.clone());
        blocking::run(move || {
            crate::root::late::settle(&layout.task(&id));
            records::load(&layout, &id)
        })
        .await
    }

    /// Stores how far a step has come.
    pub(crate) async fn note_work(
        &self,
        id: &TaskId,
        work: record::Work,
    ) -> keel_engine::Result<()> {
        let dir = self.layout.task(id);
        blocking::run(move || records::note_work(&dir, &work)).await
    }

    pub(crate) async fn store_work(
        &self,
        id: &TaskId,
        work: record::Work,
    ) -> keel_engine::Result<()> {
        let dir = self.layout.task(id);
        blocking::run(move || records::store_work(&dir, &work)).await
    }
}

fn resting(records: Records, alive: Alive) -> Then {
    let over = records.state.as_ref().is_some_and(|state| state.activity == Activity::Exited);
    let goes_on = over && records.wish.goal == Goal::Running;
    let shim = records.state.and_then(|state| state.shim).filter(|_| alive.shim);
    // Its run is over, and it is about to end: what follows is decided then.
    if goes_on && shim.is_some() { Then::Await(shim) } else { Then::Rest(shim) }
}

impl Drivers {
    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        while self.running.try_join_next().is_some() {}
        self.running.spawn(work);
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

    fn begin(&self) {
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

    /// Waits until somebody wakes the driver while it is in the middle of a step.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

/// Waits for a process to end; for ever where there is none, or where it cannot be told.
pub(crate) async fn end_of(process: Option<Process>) {
    let Some(process) = process else { return std::future::pending().await };
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let Some(Ok(fd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK)) else { return };
    if !process.lives() {
        return;
    }
    match register(fd) {
        Ok(fd) => drop(fd.readable().await),
        Err(_) => std::future::pending().await,
    }
}
