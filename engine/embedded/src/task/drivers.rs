//! The drivers: one for each task, that brings it to its goal step by step.
//!
//! # Invariants
//! - Steps of one task never run at the same time; those of different tasks do.
//! - A driver that has nothing to do waits for a wish, a record or a process: it asks nobody again
//!   and again.

use crate::desk::Desk;
use crate::root::ended::end_of;
use crate::root::record::{self, Activity, Process};
use crate::task::answering::{self, Unanswered};
use crate::task::async_records;
use crate::task::queue::{Driver, Queue};
use crate::task::records::Records;
use crate::task::step::{self, Alive, Step};
use crate::task::step_error::{StepError, pause};
use crate::task::work::Steps;
use keel_engine::{Event, Goal, TaskId};
use std::sync::Arc;
use std::time::Duration;

/// All drivers of one engine.
pub(crate) struct Drivers {
    desk: Arc<Desk>,
    queue: Arc<Queue>,
    steps: Steps,
    unanswered: Unanswered,
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

impl Drivers {
    pub(crate) fn new(desk: Arc<Desk>, queue: Arc<Queue>, steps: Steps) -> Self {
        Self { desk, queue, steps, unanswered: Unanswered::default() }
    }

    /// Lets each driver finish the step that it is at, and no more.
    pub(crate) async fn close(&self) {
        self.desk.stop();
        self.queue.wake_all_known();
        self.desk.finish().await;
    }

    /// Returns once no driver has anything to do, or may do anything.
    pub(crate) async fn idle(&self) {
        tokio::select! {
            () = self.queue.idle() => {}
            () = self.desk.closed() => {}
        }
    }

    /// Tells a task's driver to look again; starts it if there is none.
    pub(crate) fn wake(self: &Arc<Self>, id: &TaskId) {
        if !self.desk.options.drive {
            return;
        }
        self.queue.wake(id, |driver| {
            let (drivers, id) = (Arc::clone(self), id.clone());
            self.desk.spawn(async move { drivers.drive(&id, &driver).await });
        });
    }

    /// Something came or went that a failed attempt of a task may have lacked.
    pub(crate) fn wake_waiting(&self) {
        self.queue.wake_waiting();
    }

    async fn drive(&self, id: &TaskId, driver: &Driver) {
        while !self.desk.is_closing() {
            driver.begin();
            match self.turn(id, driver).await {
                Then::Again => {}
                Then::Rest(shim) => {
                    self.queue.rest(driver);
                    tokio::select! {
                        () = driver.woken() => {}
                        () = end_of(shim) => self.queue.wake_driver(driver),
                    }
                }
                Then::Await(shim) => {
                    tokio::select! {
                        () = driver.woken() => {}
                        () = end_of(shim) => {}
                    }
                }
                Then::Retry(pause) => {
                    self.queue.rest_after_failure(driver);
                    tokio::select! {
                        () = driver.woken() => {}
                        () = tokio::time::sleep(pause) => self.queue.wake_driver(driver),
                    }
                }
                Then::Gone => {
                    if self.queue.forget(id, driver) {
                        return;
                    }
                }
            }
        }
    }

    /// One step, decided from what is.
    async fn turn(&self, id: &TaskId, driver: &Driver) -> Then {
        let (records, alive, step) = match self.due(id).await {
            Ok(due) => due,
            Err(then) => return then,
        };
        if step == Step::Rest {
            return resting(records, alive);
        }
        // Not in anybody's turn: it may take long.
        let (layout, program) = (&self.desk.layout, &self.desk.options.executable);
        let answered = self.unanswered.answer(layout, program, &records.wish, step).await;
        let Ok(_turn) = self.desk.turn_at_root().await else { return Then::Retry(pause(3)) };
        // Others had theirs meanwhile.
        let (records, alive, step) = match self.due(id).await {
            Ok(due) => due,
            Err(then) => return then,
        };
        if step == Step::Rest {
            return resting(records, alive);
        }
        if let (Err(error), true) = (answered, answering::is_asked(&records.wish, step)) {
            return self.note(id, error).await;
        }
        let waits_for = (step == Step::Stop).then(|| records.state.clone()?.shim).flatten();
        let goes_on = records.latest().goal == Goal::Running;
        let done = self.steps.step(step, records, alive, driver).await;
        self.desk.tell(Event::Task(id.clone()));
        if done.is_ok() && matches!(step, Step::Launch | Step::Stopped | Step::Remove) {
            self.wake_waiting();
        }
        match done {
            Ok(()) if step == Step::Remove => Then::Gone,
            // What is ended for another run is not done before that has begun.
            Ok(()) if step == Step::Stop && goes_on => Then::Await(waits_for),
            Ok(()) if step == Step::Stop => Then::Rest(waits_for),
            Ok(()) | Err(StepError::Superseded) => Then::Again,
            Err(error) => self.note(id, error).await,
        }
    }

    /// What a task's records and what lives of it ask for.
    async fn due(&self, id: &TaskId) -> Result<(Records, Alive, Step), Then> {
        let records = match async_records::load(&self.desk.layout, id).await {
            Ok(Some(records)) => records,
            Ok(None) => return Err(Then::Gone),
            Err(_) => return Err(Then::Retry(pause(3))),
        };
        let alive = Alive::of(&records);
        let step = step::next(&records, alive, &keel_durable::boot_id());
        Ok((records, alive, step))
    }

    /// Writes down what went wrong, for people and for the next attempt.
    async fn note(&self, id: &TaskId, error: StepError) -> Then {
        let (message, lasting) = match error {
            StepError::Retry(message) => (message, false),
            StepError::Permanent(message) => (message, true),
            StepError::Superseded => return Then::Again,
        };
        let layout = &self.desk.layout;
        let Ok(Some(Records { wish, mut work, .. })) = async_records::load(layout, id).await else {
            return Then::Retry(pause(3));
        };
        work.attempts += 1;
        work.message = Some(message);
        if lasting && work.stage != record::Stage::Launched {
            (work.stage, work.generation) = (record::Stage::Rejected, wish.generation);
        }
        let attempts = work.attempts;
        // If even this cannot be written, the attempt after the pause says the same.
        let _ = async_records::store_work(layout, id, work).await;
        self.desk.tell(Event::Task(id.clone()));
        if lasting { Then::Again } else { Then::Retry(pause(attempts)) }
    }
}

fn resting(records: Records, alive: Alive) -> Then {
    let over = records.state.as_ref().is_some_and(|state| state.activity == Activity::Exited);
    let goes_on = over && records.wish.goal == Goal::Running;
    let shim = records.state.and_then(|state| state.shim).filter(|_| alive.shim);
    // Its run is over, and it is about to end: what follows is decided then.
    if goes_on && shim.is_some() { Then::Await(shim) } else { Then::Rest(shim) }
}
