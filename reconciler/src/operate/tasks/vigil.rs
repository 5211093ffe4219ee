//! Until what a person asked of tasks has come true: what is awaited, and what is told of it.

use super::teller::Teller;
use crate::ask::{Acting, Refusal, TaskAsk, TaskVerb};
use crate::operate::resolve::newest;
use crate::outcome::ATTEMPTS;
use keel_engine::{Goal, Health, Nodes, ObservedTask, Phase, Slot, TaskId};
use keel_plan::standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Beyond the grace period, before it is said that a task does not stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// A stop that takes no longer is nothing to talk of.
const WORTH_TELLING: Duration = Duration::from_secs(2);
/// Without a health check's own limits.
const LEAST_HEALTH_TIME: Duration = Duration::from_secs(120);

/// Looks until it is done.
pub(super) struct Vigil<'a> {
    /// Whether passes go on without this command.
    pub serves: bool,
    ask: &'a TaskAsk,
    teller: &'a Teller,
    tasks: Vec<Awaited>,
    /// Tasks of others that are restarted because of these.
    following: BTreeSet<TaskId>,
    told: BTreeSet<String>,
    began: Instant,
}

/// A task that was asked for, as it was before.
struct Awaited {
    id: TaskId,
    slot: Option<Slot>,
    name: String,
    started: Option<u64>,
    grace: Duration,
}

impl<'a> Vigil<'a> {
    pub fn over(tasks: &[&ObservedTask], ask: &'a TaskAsk, teller: &'a Teller) -> Self {
        let awaited = |task: &&ObservedTask| Awaited {
            id: task.id.clone(),
            slot: task.place.slot().cloned(),
            name: task.spec.container_name.clone(),
            started: task.started,
            grace: ask
                .timeout
                .map_or(Duration::from_millis(task.spec.grace_ms()), Duration::from_secs),
        };
        let tasks = tasks.iter().map(awaited).collect();
        let (following, told) = (BTreeSet::new(), BTreeSet::new());
        Self { serves: false, ask, teller, tasks, following, told, began: Instant::now() }
    }

    /// Whether all of it is done.
    pub fn look(&mut self, seen: &Nodes, standing: &Standing) -> Result<bool, Refusal> {
        let by_id: BTreeMap<_, _> = seen.all_tasks().map(|task| (&task.id, task)).collect();
        self.tell_of(&by_id);
        let mut done = true;
        for awaited in &self.tasks {
            let task = by_id.get(&awaited.id).copied();
            done &= match self.ask.verb {
                TaskVerb::Start | TaskVerb::Restart => self.began(awaited, task, seen, standing)?,
                TaskVerb::Stop | TaskVerb::Kill { .. } => self.ended(awaited, task)?,
                TaskVerb::Remove { .. } => self.is_gone(awaited, task)?,
            };
        }
        if matches!(self.ask.verb, TaskVerb::Start | TaskVerb::Restart) {
            done &= self.others_followed(seen, standing, &by_id);
        }
        Ok(done)
    }

    fn began(
        &self,
        awaited: &Awaited,
        task: Option<&ObservedTask>,
        seen: &Nodes,
        standing: &Standing,
    ) -> Result<bool, Refusal> {
        let filled = newest(seen);
        // What fills the slot by now may be another one.
        let other = awaited.slot.as_ref().and_then(|slot| filled.get(slot));
        let other = other.filter(|other| other.id != awaited.id && other.phase == Phase::Running);
        if other.is_some() {
            return Ok(true);
        }
        let Some(task) = task else { return Err(gone()) };
        if standing.asks.contains_key(&awaited.id) {
            return Ok(false);
        }
        let stopped = awaited.slot.as_ref().is_some_and(|slot| {
            standing.stopped.contains(&format!("{}.{}", slot.service, slot.slot))
        });
        if stopped && task.goal >= Goal::Stopped {
            let words = format!("container {} was stopped in the meantime", awaited.name);
            return Err(Refusal::conflict(words));
        }
        match task.phase {
            Phase::Rejected => Err(rejected(task)),
            Phase::Running => Ok(true),
            Phase::Exited | Phase::Backoff if task.started != awaited.started => {
                never_ran(task).map_or(Ok(true), Err)
            }
            // Nothing is on its way any more: its turn in the slot is over.
            Phase::Exited if self.began.elapsed() > PATIENCE => {
                Err(Refusal::conflict(format!("container {} is not started", awaited.name))
                    .hint("`keel status` says what its stack is at"))
            }
            _ if is_vain(task) => Err(vain(task)),
            _ => Ok(false),
        }
    }

    fn ended(&self, awaited: &Awaited, task: Option<&ObservedTask>) -> Result<bool, Refusal> {
        let over = |task: &ObservedTask| {
            matches!(task.phase, Phase::Exited | Phase::Rejected) && task.pid.is_none()
        };
        self.in_time(awaited, task.is_none_or(over), "stop")
    }

    fn is_gone(&self, awaited: &Awaited, task: Option<&ObservedTask>) -> Result<bool, Refusal> {
        self.in_time(awaited, task.is_none(), "go")
    }

    fn in_time(&self, awaited: &Awaited, done: bool, what: &str) -> Result<bool, Refusal> {
        if !done && self.began.elapsed() > awaited.grace + PATIENCE {
            let words = format!("container {} does not {what}", awaited.name);
            return Err(Refusal::conflict(words));
        }
        Ok(done)
    }

    /// Whether those that are restarted because of these run again, as far as that is waited for.
    fn others_followed(
        &mut self,
        seen: &Nodes,
        standing: &Standing,
        by_id: &BTreeMap<&TaskId, &ObservedTask>,
    ) -> bool {
        let asked = standing.asks.iter().filter(|(_, ask)| ask.follows.is_some());
        self.following.extend(asked.map(|(id, _)| id.clone()));
        let hosts: BTreeSet<_> = self.tasks.iter().map(|task| &task.id).collect();
        let drawn = seen.all_tasks().filter(|task| {
            let theirs = task.joins.as_ref().is_some_and(|host| hosts.contains(host));
            theirs && task.goal == Goal::Running && (task.apart || is_on_its_way(task))
        });
        self.following.extend(drawn.map(|task| task.id.clone()));
        self.following.iter().all(|id| {
            let Some(task) = by_id.get(id) else { return true };
            let leader = standing.asks.get(id).and_then(|ask| ask.follows.as_ref());
            match leader.and_then(|leader| by_id.get(&leader.task)) {
                Some(leader) => !self.is_waited_for(leader),
                None if leader.is_some() || task.goal != Goal::Running => true,
                None => is_vain(task) || !(task.apart || is_on_its_way(task)),
            }
        })
    }

    /// Whether this command stays until what others wait for is of use: passes go on where somebody
    /// serves, and what is not well in time is looked after by whoever comes next.
    fn is_waited_for(&self, leader: &ObservedTask) -> bool {
        let limit = leader.health_limit.map_or(LEAST_HEALTH_TIME, Duration::from_millis);
        match leader.health {
            Health::None | Health::Healthy => true,
            Health::Starting => !self.serves && self.began.elapsed() < limit,
            Health::Unhealthy => false,
        }
    }

    /// Tells of each task what it waits for, once.
    fn tell_of(&mut self, by_id: &BTreeMap<&TaskId, &ObservedTask>) {
        let own = self.tasks.iter().map(|task| &task.id);
        let all: BTreeSet<_> = own.chain(&self.following).cloned().collect();
        for task in all.iter().filter_map(|id| by_id.get(id)) {
            let Some(why) = self.waits_for(task) else { continue };
            let container = task.spec.container_name.clone();
            if self.told.insert(format!("{container} {why}")) {
                self.teller.tell(Acting::Waits { container, why });
            }
        }
    }

    fn waits_for(&self, task: &ObservedTask) -> Option<String> {
        let late = self.began.elapsed() > WORTH_TELLING;
        let starts = matches!(self.ask.verb, TaskVerb::Start | TaskVerb::Restart);
        match task.phase {
            // A stop ends all other waiting.
            Phase::Pending | Phase::Preparing if !starts => None,
            Phase::Pending | Phase::Preparing if task.attempts > 0 => {
                task.message.as_ref().map(ToString::to_string)
            }
            Phase::Pending | Phase::Preparing if late && task.digest.is_none() => {
                Some(format!("image {} is on its way", task.spec.image))
            }
            Phase::Draining if late => {
                let grace = self.tasks.iter().find(|awaited| awaited.id == task.id)?.grace;
                let seconds = grace.as_secs();
                Some(format!("its process has {seconds} s to end before it is killed"))
            }
            _ => None,
        }
    }
}

fn is_on_its_way(task: &ObservedTask) -> bool {
    matches!(task.phase, Phase::Pending | Phase::Preparing | Phase::Draining)
}

/// Whether its node has tried so often that whoever asked is told.
fn is_vain(task: &ObservedTask) -> bool {
    task.attempts >= ATTEMPTS && matches!(task.phase, Phase::Pending | Phase::Preparing)
}

fn gone() -> Refusal {
    Refusal::conflict("the container was removed in the meantime")
}

fn rejected(task: &ObservedTask) -> Refusal {
    let why = task.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    Refusal::conflict(format!("container {} cannot start{why}", task.spec.container_name))
}

/// What has ended may have done all that it was to do; what could not even begin has not.
fn never_ran(task: &ObservedTask) -> Option<Refusal> {
    let why = task.message.as_ref().filter(|_| matches!(task.exit_code, Some(125..=127)))?;
    let name = &task.spec.container_name;
    Some(Refusal::conflict(format!("container {name} does not start: {why}")))
}

/// What was asked stays asked.
fn vain(task: &ObservedTask) -> Refusal {
    let name = &task.spec.container_name;
    let why = task.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    Refusal::conflict(format!("container {name} does not start{why}"))
        .hint(format!("it starts as soon as it can; `keel stop {name}` cancels the start"))
}
