//! Filling a slot: the first task, a replacement, the end of one.

use super::leaving::remove_all;
use super::one_slot::Judge;
use super::surplus::surplus;
use crate::condition::{Condition, available_since, is_still};
use crate::desired::Order;
use crate::draft::{Judgment, act, hold};
use crate::memory::is_complete;
use crate::motion::{self, Full};
use crate::occupants::in_reach;
use crate::verdict::{Action, Hold, Reason};
use crate::why::{Activity, Awaited, FailureCause, Followed};
use crate::{rollout, waits, wish};
use keel_engine::{Goal, NetworkMode, ObservedTask, Phase};

impl Judge<'_, '_> {
    pub(super) fn empty(&mut self) -> Judgment {
        if is_complete(self.facts, self.slot) {
            return hold(Hold::Complete);
        }
        let first = self.facts.standing.good.is_none();
        if let Some(frozen) = self.frozen().filter(|_| !first && !self.want.is_repair) {
            return hold(frozen);
        }
        if let Some(obstacle) = waits::obstacle(self.facts, self.draft, self.want) {
            return hold(obstacle);
        }
        if let Some(wait) = waits::port_on_the_move(self.facts, self.want) {
            return hold(wait);
        }
        act(Action::Start, self.why_it_starts(), vec![self.new_task(None, Goal::Running)])
    }

    /// A slot beyond those of the revision is there because a person said so.
    fn why_it_starts(&self) -> Reason {
        let (name, service) = (self.want.name, self.want.service);
        let more = self.facts.replicas(name, service) > service.replicas;
        let beyond = self.slot.slot.parse::<u32>().is_ok_and(|number| number > service.replicas);
        if more && beyond { self.facts.scaled(name, service) } else { Reason::Missing }
    }

    /// Only tasks of another specification: a replacement.
    pub(super) fn outdated(&mut self, rest: &[&ObservedTask]) -> Judgment {
        if let Some(verdict) = self.off_a_stale_network(rest) {
            return verdict;
        }
        if is_complete(self.facts, self.slot) && rest.iter().all(|task| is_still(task)) {
            return self.superseded(rest);
        }
        let is_same = rest.iter().any(|task| in_reach(&task.spec, &self.want.spec));
        let first = self.facts.standing.good.is_none();
        if let Some(frozen) = self.frozen().filter(|_| !first || !is_same) {
            return hold(frozen);
        }
        if let Some(obstacle) = waits::obstacle(self.facts, self.draft, self.want) {
            return hold(obstacle);
        }
        let order = rollout::order(self.facts, self.want);
        let running: Vec<_> = rest.iter().filter(|task| !self.is_off(task)).collect();
        let begun = running.iter().all(|task| task.goal >= Goal::Stopped);
        if order == Order::StopFirst && !running.is_empty() && begun {
            return hold(self.stops_predecessor());
        }
        if let Some(wait) = self.awaits_others(rest) {
            return hold(wait);
        }
        let recovery = (order == Order::StopFirst).then(|| self.awaits_recovery(rest)).flatten();
        if let Some(wait) = recovery.or_else(|| self.awaits_turn(rest)) {
            return hold(wait);
        }
        self.count_move();
        let wishes = match order {
            // All that it needs is made ready before anything old is stopped: an image, a port, a
            // secret or a disk that is not there costs nobody anything then.
            Order::StopFirst if !running.is_empty() && self.can_be_readied(rest) => {
                self.new_task_alone(rest, Goal::Ready)
            }
            Order::StopFirst if !running.is_empty() => running
                .iter()
                .filter(|task| task.goal < Goal::Stopped)
                .map(|task| wish::again(task, Goal::Stopped, self.draft.generation))
                .collect(),
            _ => match waits::port_on_the_move(self.facts, self.want) {
                Some(wait) => return hold(wait),
                None => self.new_task_alone(rest, Goal::Running),
            },
        };
        act(Action::Replace, self.difference(rest[0]), wishes)
    }

    /// Whether another task may run in its place. What has ended and is still to run, runs again after its
    /// machine's next start: where there may be but one, it has to be told first.
    fn is_off(&self, task: &ObservedTask) -> bool {
        let is_sole = self.want.service.placement.exclusive
            || self.facts.has_own_data(&self.want.spec)
            || self.facts.has_own_data(&task.spec);
        is_still(task) && (!is_sole || task.goal >= Goal::Stopped)
    }

    fn stops_predecessor(&self) -> Hold {
        let forced = rollout::forced(self.facts, self.want);
        let activity = forced
            .map_or(Activity::StoppingPredecessor, |because| Activity::StoppingFirst { because });
        Hold::InProgress { activity }
    }

    /// A revision that failed and stays, by policy, is not brought further.
    fn frozen(&self) -> Option<Hold> {
        let bad = self.facts.bad.filter(|_| self.facts.is_frozen())?;
        let (revision, cause) = (bad.revision.clone(), bad.cause.clone());
        Some(Hold::KnownBad { revision, cause })
    }

    /// A new task, beside one old one at most.
    fn new_task_alone(&self, rest: &[&ObservedTask], goal: Goal) -> Vec<keel_engine::Assignment> {
        let surplus = surplus(self.facts, self.slot, self.want, rest);
        let go = surplus.iter().map(|task| wish::remove(task, false, self.draft.generation));
        std::iter::once(self.new_task(Some(rest[0]), goal)).chain(go).collect()
    }

    fn new_task(&self, replaces: Option<&ObservedTask>, goal: Goal) -> keel_engine::Assignment {
        wish::new_task(self.facts, self.slot, self.want, replaces, self.draft.generation, goal)
    }

    /// Whether a task can be made ready beside the one that it takes over from: not where it takes
    /// something that only one of them can have, even without running. Nor where one that was good
    /// waits behind one that has not settled yet: three are too many, and the good one stays.
    fn can_be_readied(&self, rest: &[&ObservedTask]) -> bool {
        let spec = &self.want.spec;
        let own_namespace = matches!(
            spec.network_mode,
            NetworkMode::Networks | NetworkMode::None | NetworkMode::Host
        );
        own_namespace
            && rest.iter().filter(|task| task.started.is_some()).count() < 2
            && !rollout::passes_on(self.facts, spec)
            && waits::port_of_our_own(self.facts, self.want.node, self.want.name, spec).is_none()
    }

    /// What is made ready with it: one commit's services were meant for each other.
    fn others_get_ready(&self) -> Option<Hold> {
        let others = self.facts.slots.iter().filter(|(slot, _)| *slot != self.slot);
        let (slot, want, task) = others
            .filter_map(|(slot, all)| Some((slot, all.want.as_ref()?, all.current?)))
            .find(|(_, _, task)| {
                task.goal == Goal::Ready && matches!(task.phase, Phase::Pending | Phase::Preparing)
            })?;
        Some(match self.facts.condition(want, task) {
            Condition::Failed { cause, .. } => {
                let (slot, cause) = (slot.clone(), Box::new(cause));
                Hold::Failed { cause: FailureCause::WaitsFor { slot, cause } }
            }
            _ => Hold::AwaitingDependency {
                service: slot.service.clone(),
                condition: Awaited::Ready,
            },
        })
    }

    /// It is ready, and runs as soon as the one before it has ended.
    fn hand_over(&mut self, task: &ObservedTask, rest: &[&ObservedTask]) -> Judgment {
        let running: Vec<_> = rest.iter().filter(|task| !self.is_off(task)).collect();
        if let Some(wait) = self.others_get_ready().filter(|_| !running.is_empty()) {
            return hold(wait);
        }
        let reason = self.difference(rest[0]);
        let going = running.iter().all(|task| task.goal >= Goal::Stopped);
        if let Some(wait) = (!going).then(|| self.stays_for_others(rest)).flatten() {
            return hold(wait);
        }
        if running.is_empty() {
            if let Some(wait) = waits::port_on_the_move(self.facts, self.want) {
                return hold(wait);
            }
            let wish = wish::again(task, Goal::Running, self.draft.generation);
            return act(Action::Replace, reason, vec![wish]);
        }
        let wishes: Vec<_> = running
            .iter()
            .filter(|task| task.goal < Goal::Stopped)
            .map(|task| wish::again(task, Goal::Stopped, self.draft.generation))
            .collect();
        match wishes.is_empty() {
            true => hold(self.stops_predecessor()),
            false => act(Action::Replace, reason, wishes),
        }
    }

    /// Why one that is to hand over goes on for a while: it is needed, or others that were not are under way.
    fn stays_for_others(&mut self, rest: &[&ObservedTask]) -> Option<Hold> {
        self.awaits_recovery(rest).or_else(|| {
            let is_move = self.is_move(rest);
            let (name, service) = (self.want.name, self.want.service);
            if service.placement.mode.is_job() {
                return None;
            }
            let motion = self.draft.motion(self.facts, name, service);
            motion.hand_over(self.slot, is_move).err().map(full)
        })
    }

    /// Whether nothing but its node changes.
    fn is_move(&self, rest: &[&ObservedTask]) -> bool {
        self.want.spot.is_moving() && rest.iter().any(|task| in_reach(&task.spec, &self.want.spec))
    }

    /// Why it does not begin yet: others go first. Where one under way has failed for good, those that
    /// wait for it do so for good, too.
    fn awaits_turn(&mut self, rest: &[&ObservedTask]) -> Option<Hold> {
        let (name, service) = (self.want.name, self.want.service);
        if service.placement.mode.is_job() {
            return None;
        }
        let is_move = self.is_move(rest);
        let motion = self.draft.motion(self.facts, name, service);
        motion.enter(self.slot, is_move).err().map(full)
    }

    /// Why one that serves is not stopped yet: another slot is down for a reason of its own.
    fn awaits_recovery(&mut self, tasks: &[&ObservedTask]) -> Option<Hold> {
        let (name, service) = (self.want.name, self.want.service);
        let serves = tasks.iter().any(|task| available_since(task).is_some());
        if !serves || service.placement.mode.is_job() {
            return None;
        }
        let motion = self.draft.motion(self.facts, name, service);
        let (slot, until) = motion.awaited(self.slot)?;
        let activity = motion::awaiting_recovery(slot);
        self.draft.wake(until);
        Some(Hold::InProgress { activity })
    }

    /// A network can be made anew only once nobody is on it.
    pub(super) fn off_a_stale_network(&self, tasks: &[&ObservedTask]) -> Option<Judgment> {
        let network = tasks.iter().find_map(|task| self.facts.stale_network_of(task))?;
        let reason = Reason::Follows { leader: Followed::Network(network.to_owned()) };
        Some(remove_all(tasks.iter().copied(), reason, false, self.draft.generation))
    }

    /// The right task, and older ones or failed ones beside it.
    pub(super) fn succession(&mut self, task: &ObservedTask, rest: &[&ObservedTask]) -> Judgment {
        match self.facts.condition(self.want, task) {
            Condition::Stopped
            | Condition::Stopping
            | Condition::Killed { .. }
            | Condition::Ended { .. } => self.come_back(task, rest),
            Condition::Ready => self.hand_over(task, rest),
            Condition::Well if self.is_worse(task, rest) => {
                hold(Hold::AwaitingHealth { service: self.want.name.to_owned() })
            }
            Condition::Well | Condition::Complete => self.superseded(rest),
            _ => match surplus(self.facts, self.slot, self.want, rest) {
                many if many.is_empty() => self.alone(task),
                many => {
                    let generation = self.draft.generation;
                    remove_all(many.into_iter(), Reason::Overtaken, false, generation)
                }
            },
        }
    }

    /// Whether it is of no use yet, and one like it that serves on another node would go for it.
    fn is_worse(&self, task: &ObservedTask, rest: &[&ObservedTask]) -> bool {
        let here = self.facts.node_of(&task.id);
        let serves = |other: &&&ObservedTask| {
            self.facts.node_of(&other.id) != here
                && available_since(other).is_some()
                && in_reach(&other.spec, &self.want.spec)
        };
        available_since(task).is_none() && rest.iter().any(|other| serves(&other))
    }

    fn superseded(&self, rest: &[&ObservedTask]) -> Judgment {
        remove_all(rest.iter().copied(), self.why_the_rest_goes(), false, self.draft.generation)
    }

    fn why_the_rest_goes(&self) -> Reason {
        match self.facts.given_up() {
            Some(bad) => Reason::Failed { cause: bad.cause.clone() },
            None => Reason::Superseded,
        }
    }

    /// The right task does not run, another one does (its successor that failed, say): where
    /// both cannot, that one goes, then this one runs again.
    fn come_back(&mut self, task: &ObservedTask, rest: &[&ObservedTask]) -> Judgment {
        let order = rollout::order(self.facts, self.want);
        let in_the_way = rest.iter().any(|task| !self.is_off(task));
        if order == Order::StartFirst || !in_the_way {
            return self.alone(task);
        }
        let serves = rest.iter().any(|task| available_since(task).is_some());
        if let Some(wait) = serves.then(|| self.awaits_turn(rest)).flatten() {
            return hold(wait);
        }
        let reason = match self.facts.given_up() {
            Some(bad) => Reason::Failed { cause: bad.cause.clone() },
            None => Reason::StopFirst,
        };
        remove_all(rest.iter().copied(), reason, false, self.draft.generation)
    }
}

/// Why a slot of a service waits for others of it.
fn full(full: Full) -> Hold {
    match full {
        Full::Limit(limit) => Hold::RolloutFull { limit },
        Full::Shrinks => Hold::InProgress { activity: Activity::ScalingDown },
        Full::Failed(slot, true) => {
            Hold::Late { cause: FailureCause::Sibling { slot, late: true } }
        }
        Full::Failed(slot, false) => {
            Hold::Failed { cause: FailureCause::Sibling { slot, late: false } }
        }
    }
}
