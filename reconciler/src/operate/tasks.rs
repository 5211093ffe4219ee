//! `start`, `stop`, `restart`, `kill`, `rm`: a person's word about single tasks.
//!
//! # Invariants
//! - A stop is a latch of the slot, recorded before the task is told: no pass starts it again.
//! - Each word is a decision, with a generation of its own.

use super::target::{listed_names, newest, resolve};
use crate::ask::{Refusal, TaskAsk, TaskVerb};
use crate::controller::Controller;
use crate::rows::TaskDone;
use keel_engine::{
    Assignment, Depth, Goal, Observation, ObservedTask, Open, Phase, Place, Slot, TaskAssignment,
    TaskId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// Beyond the grace period, before it is said that a task does not stop or start.
const PATIENCE: Duration = Duration::from_secs(30);

impl Controller {
    /// Does it, and waits until it is done (stopped, started, gone). All targets are resolved
    /// before anything is done.
    pub async fn tasks(&self, ask: TaskAsk) -> Result<Vec<TaskDone>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let names = listed_names(&seen);
        let filled = newest(&seen);
        let mut meant = Vec::new();
        for target in &ask.targets {
            let mut tasks = resolve(&seen, target)?;
            tasks.retain(|task| task.goal != Goal::Removed);
            let all = tasks.len();
            tasks.retain(|task| concerns(task, &ask.verb, &filled));
            if tasks.is_empty() && all > 0 {
                return Err(Refusal::conflict(format!("container {target} has a successor")).hint(
                    "the successor bears the name without `~`; this one goes with its turn",
                ));
            }
            meant.push((target, tasks));
        }
        for (_, tasks) in &meant {
            tasks.iter().try_for_each(|task| allowed(task, &ask.verb))?;
        }
        let all = || meant.iter().flat_map(|(_, tasks)| tasks.iter().copied());
        let doings = all().map(|task| self.do_one(task, &ask));
        for done in futures_util::future::join_all(doings).await {
            done?;
        }
        let done = |(target, tasks): &(&String, Vec<&ObservedTask>)| TaskDone {
            target: (*target).clone(),
            containers: tasks.iter().map(|task| names[&task.id].clone()).collect(),
            verb: ask.verb.clone(),
        };
        Ok(meant.iter().map(done).collect())
    }

    async fn do_one(&self, task: &ObservedTask, ask: &TaskAsk) -> Result<(), Refusal> {
        match &ask.verb {
            TaskVerb::Start => self.start_task(task).await,
            TaskVerb::Stop => self.stop_task(task, ask.timeout).await,
            TaskVerb::Restart => {
                let runs = task.phase == Phase::Running || task.phase == Phase::Backoff;
                if runs {
                    self.stop_task(task, ask.timeout).await?;
                }
                self.start_task(&self.looked_up(&task.id).await?).await
            }
            TaskVerb::Kill { signal } if is_kill(signal) => self.stop_task(task, Some(0)).await,
            TaskVerb::Kill { signal } => self.signal(task, signal).await,
            TaskVerb::Remove { volumes, .. } => self.remove_task(task, *volumes).await,
        }
    }

    /// The task as it is now.
    async fn looked_up(&self, id: &TaskId) -> Result<ObservedTask, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        seen.tasks.into_iter().find(|task| task.id == *id).ok_or_else(gone)
    }

    async fn start_task(&self, task: &ObservedTask) -> Result<(), Refusal> {
        let before = task.started;
        if task.phase == Phase::Running && task.goal == Goal::Running {
            return self.unlatch(task).await.map(drop);
        }
        let turn = self.turn_of_stack(task).await;
        let generation = self.unlatch(task).await?;
        let wish = TaskAssignment::again(task, Goal::Running, generation);
        self.tell(wish).await?;
        drop(turn);
        let began = |task: Option<&ObservedTask>| {
            let Some(task) = task else { return Some(Err(gone())) };
            match task.phase {
                Phase::Rejected => Some(Err(rejected(task))),
                Phase::Running => Some(Ok(())),
                Phase::Exited | Phase::Backoff if task.started != before => Some(Ok(())),
                _ => None,
            }
        };
        self.wait_for(&task.id, None, "start", began).await
    }

    async fn stop_task(&self, task: &ObservedTask, timeout: Option<u64>) -> Result<(), Refusal> {
        let turn = self.turn_of_stack(task).await;
        let generation = self.latch(task).await?;
        let mut wish = TaskAssignment::again(task, Goal::Stopped, generation);
        wish.force = timeout == Some(0);
        if let Some(seconds) = timeout.filter(|seconds| *seconds > 0) {
            Arc::make_mut(&mut wish.spec).stop_grace_period = Some(seconds * 1000);
        }
        let grace = Duration::from_millis(wish.spec.grace_ms());
        self.tell(wish).await?;
        drop(turn);
        let ended = |task: Option<&ObservedTask>| {
            let over = |task: &ObservedTask| {
                matches!(task.phase, Phase::Exited | Phase::Rejected) && task.pid.is_none()
            };
            task.is_none_or(over).then_some(Ok(()))
        };
        self.wait_for(&task.id, Some(grace), "stop", ended).await
    }

    async fn remove_task(&self, task: &ObservedTask, volumes: bool) -> Result<(), Refusal> {
        let turn = self.turn_of_stack(task).await;
        let generation = self.latch(task).await?;
        let mut wish = TaskAssignment::again(task, Goal::Removed, generation);
        (wish.force, wish.remove_volumes) = (true, volumes);
        self.tell(wish).await?;
        drop(turn);
        let grace = Some(Duration::from_millis(task.spec.grace_ms()));
        let away = |task: Option<&ObservedTask>| task.is_none().then_some(Ok(()));
        self.wait_for(&task.id, grace, "remove", away).await
    }

    async fn signal(&self, task: &ObservedTask, signal: &str) -> Result<(), Refusal> {
        let open = Open::Signal { task: task.id.clone(), signal: signal.to_owned() };
        let mut conversation = self.fleet().open(open).await?;
        while let Some(frame) = conversation.receive().await {
            if let keel_engine::frames::Frame::Error(why) = frame {
                return Err(Refusal::conflict(why));
            }
        }
        Ok(())
    }

    async fn tell(&self, wish: TaskAssignment) -> Result<(), Refusal> {
        Ok(self.fleet().assign(&[Assignment::Task(Box::new(wish))]).await?)
    }

    /// From the decision to the wish: a pass in between would follow the decision by a wish of a
    /// higher number, and this one would be refused.
    async fn turn_of_stack(&self, task: &ObservedTask) -> Option<OwnedMutexGuard<()>> {
        match task.place.slot() {
            Some(slot) => Some(self.turn(&slot.stack).await),
            None => None,
        }
    }

    /// No pass starts the slot until somebody says so. Gives the decision's number.
    async fn latch(&self, task: &ObservedTask) -> Result<u64, Refusal> {
        self.decide(task, |standing, slot| {
            standing.stopped.insert(slot.clone());
            standing.restart.remove(&slot);
        })
        .await
    }

    async fn unlatch(&self, task: &ObservedTask) -> Result<u64, Refusal> {
        self.decide(task, |standing, slot| {
            standing.stopped.remove(&slot);
        })
        .await
    }

    /// One decision more of the task's stack; a one-off counts for itself.
    async fn decide(
        &self,
        task: &ObservedTask,
        change: impl Fn(&mut keel_plan::standing::Standing, String),
    ) -> Result<u64, Refusal> {
        let Place::Slot(slot) = &task.place else { return Ok(task.generation + 1) };
        let one_more = |standing: &mut keel_plan::standing::Standing| {
            change(standing, slot_name(slot));
            standing.generation = standing.generation.max(task.generation) + 1;
            standing.generation
        };
        let number = self.records().change_standing(&slot.stack, one_more).await?;
        if self.serves() {
            self.stacks().hint(slot.stack.clone());
        }
        Ok(number)
    }

    async fn wait_for(
        &self,
        id: &TaskId,
        grace: Option<Duration>,
        what: &str,
        done: impl Fn(Option<&ObservedTask>) -> Option<Result<(), Refusal>>,
    ) -> Result<(), Refusal> {
        // A start may have to bring an image first, which takes as long as it takes.
        let deadline = grace.map(|grace| Instant::now() + grace + PATIENCE);
        let find = |seen: &Observation| done(seen.tasks.iter().find(|task| task.id == *id));
        match self.fleet().until(deadline, find).await? {
            Some(done) => done,
            None => Err(Refusal::conflict(format!("container {id} does not {what}"))),
        }
    }
}

/// A slot's earlier task stays for a while, stopped where both cannot run: to come back to, not to
/// be started beside its successor.
fn concerns(task: &ObservedTask, verb: &TaskVerb, filled: &BTreeMap<&Slot, &ObservedTask>) -> bool {
    let successor = task.place.slot().is_some_and(|slot| filled[slot].id != task.id);
    match verb {
        TaskVerb::Start | TaskVerb::Restart => !successor,
        TaskVerb::Stop | TaskVerb::Kill { .. } => !successor || task.pid.is_some(),
        TaskVerb::Remove { .. } => true,
    }
}

fn allowed(task: &ObservedTask, verb: &TaskVerb) -> Result<(), Refusal> {
    let name = &task.spec.container_name;
    let runs = matches!(task.phase, Phase::Running | Phase::Draining);
    match verb {
        TaskVerb::Remove { force: false, .. } if runs || task.phase == Phase::Backoff => {
            Err(Refusal::conflict(format!("container {name} is running"))
                .hint(format!("stop it first with `keel stop {name}`, or `keel rm -f {name}`")))
        }
        TaskVerb::Kill { .. } if !runs => {
            Err(Refusal::conflict(format!("container {name} is not running")))
        }
        _ => Ok(()),
    }
}

fn is_kill(signal: &str) -> bool {
    let word = signal.to_ascii_uppercase();
    matches!(word.strip_prefix("SIG").unwrap_or(&word), "KILL" | "9" | "")
}

fn slot_name(slot: &Slot) -> String {
    format!("{}.{}", slot.service, slot.slot)
}

fn gone() -> Refusal {
    Refusal::conflict("the container was removed meanwhile")
}

fn rejected(task: &ObservedTask) -> Refusal {
    let why = task.message.as_deref().unwrap_or("it cannot become what was asked");
    Refusal::conflict(format!("container {} cannot start: {why}", task.spec.container_name))
}
