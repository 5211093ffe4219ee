//! Time passes on a machine: tasks are made ready, start, get healthy, crash, start again, and end.

use super::machine::{Entry, Machine, State, is_done};
use super::shop::{Behavior, SETTLE, behavior};
use keel_engine::{
    ExitCause, Goal, Health, HealthTest, ObservedTask, Phase, RestartPolicy, TaskId,
};
use std::sync::Arc;

impl Machine {
    /// All that becomes true by itself until now.
    pub fn live(&self, now: u64) {
        let mut state = self.state();
        if !state.is_on {
            return;
        }
        state.pulled(now);
        loop {
            let due = |entry: &Entry| entry.due.filter(|due| *due <= now);
            let next = state.tasks.iter().filter_map(|(id, entry)| Some((due(entry)?, id)));
            let Some((at, id)) = next.min().map(|(at, id)| (at, id.clone())) else { return };
            state.changed();
            state.happen(&id, at);
        }
    }

    /// All of its processes end at once.
    pub fn lose_power(&self) {
        let mut state = self.state();
        state.is_on = false;
        state.changed();
        state.tasks.values_mut().for_each(|entry| entry.due = None);
    }

    /// It starts again, with what is on its disk.
    pub fn gain_power(&self, now: u64) {
        self.forget_drivers();
        let mut state = self.state();
        state.is_on = true;
        let wall = state.wall(now);
        for id in state.tasks.keys().cloned().collect::<Vec<_>>() {
            let mut entry = state.tasks[&id].clone();
            let task = Arc::make_mut(&mut entry.seen);
            if matches!(task.phase, Phase::Running | Phase::Backoff | Phase::Draining) {
                interrupt(task, wall);
            }
            entry.due = state.next(task, false, now);
            match is_done(task) && entry.due.is_none() {
                true => drop(state.tasks.remove(&id)),
                false => drop(state.tasks.insert(id, entry)),
            }
        }
    }

    /// Somebody ends a task's process.
    pub fn kill(&self, id: &TaskId, now: u64) {
        let mut state = self.state();
        let wall = state.wall(now);
        if let Some(entry) = state.tasks.get_mut(id) {
            let task = Arc::make_mut(&mut entry.seen);
            end(task, 137, ExitCause::KilledFromOutside, wall);
            entry.due = None;
        }
        state.changed();
    }
}

impl State {
    /// When something becomes of a task next, as it is and was told; it may change at once.
    pub fn next(&mut self, task: &mut ObservedTask, anew: bool, now: u64) -> Option<u64> {
        let wall = self.wall(now);
        match (task.goal, &task.phase) {
            (Goal::Stopped | Goal::Removed, Phase::Running) => {
                task.phase = Phase::Draining;
                Some(now + self.dice.between(0, 2_500))
            }
            (Goal::Stopped | Goal::Removed, Phase::Draining) => {
                Some(now + self.dice.between(0, 2_500))
            }
            (Goal::Stopped | Goal::Removed, Phase::Backoff) => {
                end(task, 143, ExitCause::Stopped, wall);
                None
            }
            (Goal::Stopped | Goal::Removed, _) => None,
            (_, Phase::Pending | Phase::Preparing) => Some(now + self.dice.between(50, 2_500)),
            (Goal::Running, Phase::Ready) => Some(now + self.dice.between(0, 200)),
            (Goal::Running, Phase::Exited) => {
                task.phase = Phase::Preparing;
                Some(now + self.dice.between(50, 1_000))
            }
            (Goal::Running, Phase::Running) if anew => {
                self.run(task, now);
                self.after_start(task, now)
            }
            (Goal::Running, Phase::Running) => self.after_start(task, now),
            (Goal::Running, Phase::Backoff) => Some(now + 200),
            (_, _) => None,
        }
    }

    /// Its time has come.
    fn happen(&mut self, id: &TaskId, now: u64) {
        let Some(mut entry) = self.tasks.remove(id) else { return };
        let task = Arc::make_mut(&mut entry.seen);
        let wall = self.wall(now);
        entry.due = match (task.goal, &task.phase) {
            (_, Phase::Draining) if task.goal == Goal::Running => {
                self.run(task, now);
                self.after_start(task, now)
            }
            (_, Phase::Draining) => {
                end(task, 143, ExitCause::Stopped, wall);
                None
            }
            (_, Phase::Pending) => {
                task.phase = Phase::Preparing;
                Some(now + self.dice.between(50, 1_000))
            }
            (Goal::Ready, Phase::Preparing) => {
                task.phase = Phase::Ready;
                None
            }
            (Goal::Running, Phase::Preparing | Phase::Ready | Phase::Backoff) => {
                if task.phase == Phase::Backoff {
                    task.restarts += 1;
                }
                self.run(task, now);
                self.after_start(task, now)
            }
            (Goal::Running, Phase::Running) => self.grow_old(task, now),
            (_, _) => None,
        };
        if !is_done(task) || entry.due.is_some() {
            self.tasks.insert(id.clone(), entry);
        }
    }

    fn run(&mut self, task: &mut ObservedTask, now: u64) {
        let wall = self.wall(now);
        (task.phase, task.started, task.finished) = (Phase::Running, Some(wall), None);
        (task.exit_code, task.exit_cause) = (None, None);
        task.pid = Some(task.pid.unwrap_or(1_000) + 1);
        task.digest = Some(keel_engine::Digest::of(task.spec.image.as_bytes()));
        let check = task.spec.healthcheck.as_ref();
        let is_checked = check.is_some_and(|check| check.test != HealthTest::Disabled);
        task.health = if is_checked { Health::Starting } else { Health::None };
        task.health_since = Some(wall);
    }

    fn after_start(&mut self, task: &ObservedTask, now: u64) -> Option<u64> {
        let waits = task.health == Health::Starting;
        match behavior(&task.spec.image) {
            // Before anybody could take it for one that has settled.
            Behavior::Crashes => Some(now + self.dice.between(50, SETTLE / 2)),
            Behavior::Ends => Some(now + self.dice.between(100, 4_000)),
            _ => waits.then(|| now + self.dice.between(100, 4_000)),
        }
    }

    /// Its check has an answer, or it ends by itself.
    fn grow_old(&mut self, task: &mut ObservedTask, now: u64) -> Option<u64> {
        let wall = self.wall(now);
        match behavior(&task.spec.image) {
            Behavior::Crashes => {
                end(task, 1, ExitCause::Own, wall);
                task.phase = Phase::Backoff;
                Some(now + 100 * (1 << task.restarts.min(9)))
            }
            Behavior::Ends => {
                end(task, 0, ExitCause::Own, wall);
                None
            }
            Behavior::Sick => {
                (task.health, task.health_since) = (Health::Unhealthy, Some(wall));
                None
            }
            Behavior::Well | Behavior::Gone => {
                (task.health, task.health_since) = (Health::Healthy, Some(wall));
                None
            }
        }
    }
}

fn end(task: &mut ObservedTask, code: i32, cause: ExitCause, wall: u64) {
    if task.phase != Phase::Exited {
        (task.exit_code, task.exit_cause) = (Some(code), Some(cause));
        task.finished = Some(wall);
    }
    (task.phase, task.health) = (Phase::Exited, Health::None);
}

/// The machine went down under it.
fn interrupt(task: &mut ObservedTask, wall: u64) {
    let restarts = !matches!(task.spec.restart, RestartPolicy::No);
    end(task, 255, ExitCause::Interrupted, wall);
    if restarts && task.goal == Goal::Running {
        task.phase = Phase::Preparing;
    }
}
