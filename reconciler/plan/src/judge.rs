//! The verdict for one slot.
//!
//! The tasks in a slot are told apart first: the one that is what it shall be (`current`), and
//! the rest. The old one stays until its successor has settled, stopped where both cannot run at
//! once; so coming back to it needs no new container.

use crate::condition::{Condition, available_since, is_still};
use crate::desired::{Desired, DriftPolicy, Order, Origin, Origins, locate};
use crate::draft::{Draft, act, hold};
use crate::facts::{Facts, Occupants, Want, short};
use crate::memory::{asked_for, is_complete};
use crate::verdict::{Action, Hold, Reason, Subject, Verdict};
use crate::{rollout, waits, wish};
use keel_engine::{
    Difference, Finding, ForeignContainer, Goal, MountSource, ObservedTask, Slot, Value, diff,
};

/// Judges every slot, dependencies first.
pub(crate) fn slots(facts: &Facts<'_>, draft: &mut Draft) {
    let rank: Vec<&str> = facts.ordered();
    let mut slots: Vec<_> = facts.slots.iter().collect();
    slots.sort_by_key(|(slot, _)| {
        let at = rank.iter().position(|name| *name == slot.service);
        (at, slot.service.clone(), slot.slot.len(), slot.slot.clone())
    });
    for (slot, occupants) in slots {
        let verdict = slot_verdict(facts, draft, slot, occupants);
        draft.put(Subject::Slot(slot.clone()), verdict);
    }
    known_bad(facts, draft);
}

fn slot_verdict(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Verdict {
    if let Some(verdict) = by_a_person(facts, draft, slot, occupants) {
        return verdict;
    }
    if let Some(suspended) = &facts.standing.suspended {
        return hold(Hold::Suspended { by: suspended.by.clone(), since: suspended.since });
    }
    let Some(want) = &occupants.want else { return leaving(facts, draft, slot, occupants) };
    if let Some(why) = not_here(facts, want) {
        return hold(why);
    }
    let mut judge = Judge { facts, draft, slot, want };
    match (occupants.current, occupants.rest.as_slice()) {
        (None, []) => judge.empty(),
        (None, rest) => judge.outdated(rest),
        (Some(task), []) => judge.alone(task),
        (Some(task), rest) => judge.succession(task, rest),
    }
}

/// Latches and restarts work on any stack, a suspended one too.
fn by_a_person(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Verdict> {
    let name = short(slot);
    if facts.standing.restart.contains(&name) && occupants.current.is_none() {
        // Nothing to stop: what fills the slot next is a new run anyway.
        draft.restarted.insert(name.clone());
    }
    occupants.want.as_ref()?;
    if facts.standing.stopped.contains(&name) {
        return Some(stopped(draft, occupants));
    }
    let suspended = facts.standing.suspended.is_some();
    if occupants.current.is_some() && !occupants.rest.iter().all(|task| is_still(task)) {
        // Two tasks live in the slot: that has to end first.
        return None;
    }
    let task = occupants.current.or(occupants.rest.first().copied().filter(|_| suspended))?;
    if facts.standing.restart.contains(&name) {
        draft.restarted.remove(&name);
        return restart(draft, &name, task);
    }
    let started = suspended && task.goal == Goal::Stopped && is_still(task);
    started.then(|| start(draft, task, "start"))
}

fn stopped(draft: &Draft, occupants: &Occupants<'_>) -> Verdict {
    let to_stop: Vec<_> = occupants
        .all()
        .filter(|task| task.goal < Goal::Stopped)
        .map(|task| wish::again(task, Goal::Stopped, draft.generation))
        .collect();
    if !to_stop.is_empty() {
        return act(Action::Stop, asked("stop"), to_stop);
    }
    match occupants.all().all(is_still) {
        true => hold(Hold::Stopped),
        false => hold(Hold::InProgress { what: "it is being stopped".into() }),
    }
}

/// Stopped, then started: the same task, the same writable layer.
fn restart(draft: &mut Draft, name: &str, task: &ObservedTask) -> Option<Verdict> {
    match (task.goal, is_still(task)) {
        (Goal::Removed, _) => None,
        (_, true) => {
            draft.restarted.insert(name.to_owned());
            Some(start(draft, task, "restart"))
        }
        (Goal::Stopped, false) => {
            Some(hold(Hold::InProgress { what: "it is being stopped".into() }))
        }
        (Goal::Ready | Goal::Running, false) => {
            let wish = wish::again(task, Goal::Stopped, draft.generation);
            Some(act(Action::Restart, asked("restart"), vec![wish]))
        }
    }
}

fn start(draft: &Draft, task: &ObservedTask, command: &str) -> Verdict {
    let action = if command == "restart" { Action::Restart } else { Action::Start };
    let wish = wish::again(task, Goal::Running, draft.generation);
    act(action, asked(command), vec![wish])
}

fn asked(command: &str) -> Reason {
    Reason::Asked { command: command.to_owned() }
}

/// The revision no longer names it.
fn leaving(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Verdict {
    let Some(desired) = facts.desired else {
        return hold(Hold::Kept { why: "nothing says what this stack shall be".into() });
    };
    if !asked_for(facts.inputs, &slot.service) && desired.services.contains_key(&slot.service) {
        return not_asked();
    }
    if !desired.policy.prune {
        return hold(Hold::Kept { why: "it is not in the source, but prune is off".into() });
    }
    let reason = match facts.bad {
        Some(bad) if is_of_revision(facts.inputs.desired, slot) => {
            Reason::Failed { what: bad.reason.clone() }
        }
        _ => Reason::NotInSource,
    };
    remove_all(occupants.all(), reason, false, draft.generation)
}

fn is_of_revision(desired: Option<&Desired>, slot: &Slot) -> bool {
    let service = desired.and_then(|desired| desired.services.get(&slot.service));
    service.is_some_and(|service| {
        slot.slot.parse::<u32>().is_ok_and(|number| number <= service.replicas)
    })
}

fn not_asked() -> Verdict {
    hold(Hold::Kept { why: "it is not among the services asked for".into() })
}

/// Away with tasks; those that are told already are awaited.
pub(crate) fn remove_all<'a>(
    tasks: impl Iterator<Item = &'a ObservedTask>,
    reason: Reason,
    volumes: bool,
    generation: u64,
) -> Verdict {
    let wishes: Vec<_> = tasks
        .filter(|task| task.goal != Goal::Removed)
        .map(|task| wish::remove(task, volumes, generation))
        .collect();
    match wishes.is_empty() {
        true => hold(Hold::InProgress { what: "it is being removed".into() }),
        false => act(Action::Remove, reason, wishes),
    }
}

/// What keeps a service from being touched at all.
fn not_here(facts: &Facts<'_>, want: &Want<'_>) -> Option<Hold> {
    if !asked_for(facts.inputs, want.name) {
        return Some(Hold::Kept { why: "it is not among the services asked for".into() });
    }
    if let Some(held) = want.service.held.first() {
        let (field, why, at) = (held.field.clone(), held.why.clone(), held.at.clone());
        return Some(Hold::NotRunYet { field, why, at });
    }
    let foreign = &facts.inputs.observation.foreign;
    let container = foreign.iter().find(|container| {
        let same =
            container.project == facts.inputs.stack.as_str() && container.service == want.name;
        same || writes_there(container, want)
    })?;
    Some(Hold::RunsInDocker { container: container.name.clone() })
}

fn writes_there(container: &ForeignContainer, want: &Want<'_>) -> bool {
    want.spec.volumes.iter().any(|mount| match &mount.source {
        MountSource::Bind { path, .. } => container.writes.iter().any(|other| meet(path, other)),
        _ => false,
    })
}

/// The same path, or one within the other; near the root that says nothing.
fn meet(a: &str, b: &str) -> bool {
    let (a, b) = (std::path::Path::new(a), std::path::Path::new(b));
    let (outer, inner) =
        if a.components().count() <= b.components().count() { (a, b) } else { (b, a) };
    a == b || (outer.components().count() > 2 && inner.starts_with(outer))
}

/// Slots that are as they were before a revision that failed say so.
fn known_bad(facts: &Facts<'_>, draft: &mut Draft) {
    let (Some(bad), Some(revision), Some(planned)) =
        (facts.bad, facts.inputs.desired, facts.desired)
    else {
        return;
    };
    let why = || Hold::KnownBad { revision: bad.revision.clone(), reason: bad.reason.clone() };
    for (name, service) in &revision.services {
        let unchanged =
            planned.services.get(name).is_some_and(|planned| planned.hash == service.hash);
        for number in 1..=service.replicas {
            let slot = crate::facts::slot(facts.inputs, name, number);
            let was_applied = facts.slots.get(&slot).is_some_and(|occupants| {
                let want = occupants.want.as_ref();
                want.is_some_and(|want| {
                    !diff(&want.spec, &crate::facts::slotted(service, &slot)).is_empty()
                })
            });
            let subject = Subject::Slot(slot);
            match draft.verdict(&subject) {
                None => draft.put(subject, hold(why())),
                Some(Verdict::Hold(Hold::Converged)) if !unchanged || was_applied => {
                    draft.put(subject, hold(why()));
                }
                Some(_) => {}
            }
        }
    }
}

struct Judge<'j, 'a> {
    facts: &'j Facts<'a>,
    draft: &'j mut Draft,
    slot: &'j Slot,
    want: &'j Want<'a>,
}

impl Judge<'_, '_> {
    fn empty(&mut self) -> Verdict {
        if is_complete(self.facts, self.want.name) {
            return hold(Hold::Complete);
        }
        if let Some(obstacle) = waits::obstacle(self.facts, self.draft, self.want) {
            return hold(obstacle);
        }
        if let Some(wait) = waits::port_on_the_move(self.facts, self.want) {
            return hold(wait);
        }
        act(Action::Start, Reason::Missing, vec![self.new_task(None)])
    }

    /// Only tasks of another specification: a replacement.
    fn outdated(&mut self, rest: &[&ObservedTask]) -> Verdict {
        if let Some(verdict) = self.off_a_stale_network(rest) {
            return verdict;
        }
        if is_complete(self.facts, self.want.name) && rest.iter().all(|task| is_still(task)) {
            return self.superseded(rest);
        }
        if let Some(obstacle) = waits::obstacle(self.facts, self.draft, self.want) {
            return hold(obstacle);
        }
        let reason = self.difference(rest[0]);
        let order = rollout::order(self.facts, self.want.name, self.want.service);
        let running: Vec<_> = rest.iter().filter(|task| !is_still(task)).collect();
        let begun = running.iter().all(|task| task.goal >= Goal::Stopped);
        if order == Order::StopFirst && !running.is_empty() && begun {
            return hold(Hold::InProgress { what: "its predecessor is being stopped".into() });
        }
        if !self.may_move() {
            return hold(self.full());
        }
        let wishes = match order {
            Order::StopFirst if !running.is_empty() => running
                .iter()
                .filter(|task| task.goal < Goal::Stopped)
                .map(|task| wish::again(task, Goal::Stopped, self.draft.generation))
                .collect(),
            _ => match waits::port_on_the_move(self.facts, self.want) {
                Some(wait) => return hold(wait),
                None => vec![self.new_task(Some(rest[0]))],
            },
        };
        act(Action::Replace, reason, wishes)
    }

    fn new_task(&self, replaces: Option<&ObservedTask>) -> keel_engine::Assignment {
        wish::new_task(self.facts, self.slot, self.want, replaces, self.draft.generation)
    }

    /// Where the slot under way has failed for good, those that wait for it do so for good, too.
    fn full(&self) -> Hold {
        let moving = rollout::moving(self.facts, self.want.name);
        let failed = moving.filter(|slot| {
            let occupants = &self.facts.slots[*slot];
            let want = occupants.want.as_ref().zip(occupants.current);
            want.is_some_and(|(want, task)| {
                matches!(self.facts.condition(want, task), Condition::Failed { .. })
            })
        });
        match failed {
            Some(slot) => {
                let what = format!("{} failed, so the others stay as they are", short(slot));
                Hold::Failed { what }
            }
            None => Hold::RolloutFull { limit: 1 },
        }
    }

    /// One slot of a service at a time.
    fn may_move(&mut self) -> bool {
        let other = rollout::moving(self.facts, self.want.name).is_some_and(|s| s != self.slot);
        let mine = rollout::moving(self.facts, self.want.name) == Some(self.slot);
        mine || (!other && self.draft.moved.insert(self.want.name.to_owned()))
    }

    /// A network can be made anew only once nobody is on it.
    fn off_a_stale_network(&self, tasks: &[&ObservedTask]) -> Option<Verdict> {
        let on = |task: &ObservedTask| {
            let names = task.spec.networks.iter().map(|attachment| attachment.network.as_str());
            names
                .into_iter()
                .find(|name| self.facts.stale_networks.contains(name))
                .map(str::to_owned)
        };
        let network = tasks.iter().find_map(|task| on(task))?;
        let reason = Reason::Follows { service: format!("network {network}") };
        Some(remove_all(tasks.iter().copied(), reason, false, self.draft.generation))
    }

    /// The right task, and older ones or failed ones beside it.
    fn succession(&mut self, task: &ObservedTask, rest: &[&ObservedTask]) -> Verdict {
        match self.facts.condition(self.want, task) {
            Condition::Stopped
            | Condition::Stopping
            | Condition::Killed { .. }
            | Condition::Ended { .. } => self.come_back(task, rest),
            Condition::Well | Condition::Complete => self.superseded(rest),
            _ => self.alone(task),
        }
    }

    fn superseded(&self, rest: &[&ObservedTask]) -> Verdict {
        remove_all(rest.iter().copied(), self.why_the_rest_goes(), false, self.draft.generation)
    }

    fn why_the_rest_goes(&self) -> Reason {
        match self.facts.bad {
            Some(bad) => Reason::Failed { what: bad.reason.clone() },
            None => Reason::Superseded,
        }
    }

    /// The right task does not run, another one does (its successor that failed, say): where
    /// both cannot, that one goes, then this one runs again.
    fn come_back(&mut self, task: &ObservedTask, rest: &[&ObservedTask]) -> Verdict {
        let order = rollout::order(self.facts, self.want.name, self.want.service);
        let in_the_way = rest.iter().any(|task| !is_still(task));
        if order == Order::StartFirst || !in_the_way {
            return self.alone(task);
        }
        let reason = match self.facts.bad {
            Some(bad) => Reason::Failed { what: bad.reason.clone() },
            None => Reason::StopFirst,
        };
        remove_all(rest.iter().copied(), reason, false, self.draft.generation)
    }

    fn alone(&mut self, task: &ObservedTask) -> Verdict {
        if let Some(verdict) = self.off_a_stale_network(&[task]) {
            return verdict;
        }
        let differences = diff(&task.spec, &self.want.spec);
        if !differences.is_empty() {
            let reason =
                Reason::Changed { differences: located(differences, &self.want.service.origins) };
            let wish = wish::update(task, self.want, self.draft.generation);
            return act(Action::Update, reason, vec![wish]);
        }
        match self.facts.condition(self.want, task) {
            Condition::Complete => hold(Hold::Complete),
            Condition::Failed { what, .. } => {
                // It may yet hold out, and be well.
                let patience = self.facts.patience(self.want, task);
                let settles = available_since(task).map(|since| since + patience.settle);
                settles.into_iter().for_each(|at| self.draft.wake(at));
                hold(Hold::Failed { what })
            }
            Condition::Waiting { hold: why, until } => {
                until.into_iter().for_each(|at| self.draft.wake(at));
                hold(why)
            }
            Condition::Killed { from } => self.killed(task, from),
            Condition::Ended { exit_code, from } => {
                self.ended(task, Reason::Ended { exit_code }, from)
            }
            Condition::Stopping => hold(Hold::InProgress { what: "it is being stopped".into() }),
            Condition::Going => hold(Hold::InProgress { what: "it is being removed".into() }),
            Condition::Stopped => match self.facts.bad {
                Some(bad) => {
                    let reason = Reason::Failed { what: bad.reason.clone() };
                    let wish = wish::again(task, Goal::Running, self.draft.generation);
                    act(Action::Start, reason, vec![wish])
                }
                None => start(self.draft, task, "start"),
            },
            Condition::Well => self.well(task),
        }
    }

    fn killed(&mut self, task: &ObservedTask, from: u64) -> Verdict {
        if self.facts.drift_policy(self.want.service) == DriftPolicy::Report {
            return hold(Hold::ReportOnly);
        }
        let counted = open(&task.findings);
        let findings = if counted.is_empty() { vec![crate::drift::killed(task)] } else { counted };
        self.run_again(task, Action::Heal, Reason::Drifted { findings }, from)
    }

    fn ended(&mut self, task: &ObservedTask, reason: Reason, from: u64) -> Verdict {
        if is_complete(self.facts, self.want.name) {
            return hold(Hold::Complete);
        }
        self.run_again(task, Action::Start, reason, from)
    }

    /// What ends at once is not started again at once.
    fn run_again(
        &mut self,
        task: &ObservedTask,
        action: Action,
        reason: Reason,
        from: u64,
    ) -> Verdict {
        if self.facts.now() < from {
            self.draft.wake(from);
            return hold(Hold::InProgress { what: "it is started again in a moment".into() });
        }
        act(action, reason, vec![wish::again(task, Goal::Running, self.draft.generation)])
    }

    fn well(&mut self, task: &ObservedTask) -> Verdict {
        if let Some(service) = self.leader(task) {
            self.draft.restarting.insert(short(self.slot));
            let wish = wish::again(task, Goal::Stopped, self.draft.generation);
            return act(Action::Restart, Reason::Follows { service }, vec![wish]);
        }
        let findings = open(&task.findings);
        if findings.is_empty() {
            return hold(Hold::Converged);
        }
        if self.facts.drift_policy(self.want.service) == DriftPolicy::Report {
            return hold(Hold::ReportOnly);
        }
        let wish = wish::again(task, Goal::Running, self.draft.generation);
        act(Action::Heal, Reason::Drifted { findings }, vec![wish])
    }

    /// A dependency with `restart: true` that was replaced since this task started.
    fn leader(&self, task: &ObservedTask) -> Option<String> {
        let started = task.started?;
        let follow = self.want.service.depends_on.iter().filter(|dependency| dependency.restart);
        follow
            .map(|dependency| &dependency.service)
            .find(|service| {
                self.facts.slots.iter().any(|(slot, occupants)| {
                    slot.service == **service
                        && occupants.rest.is_empty()
                        && occupants.current.is_some_and(|other| {
                            other.created > started && available_since(other).is_some()
                        })
                })
            })
            .cloned()
    }

    fn difference(&self, old: &ObservedTask) -> Reason {
        let differences = diff(&old.spec, &self.want.spec);
        if !differences.is_empty() {
            let differences = located(differences, &self.want.service.origins);
            return Reason::Changed { differences };
        }
        let recreate = self.facts.standing.recreate.get(&short(self.slot));
        match recreate.filter(|recreate| recreate.task == old.id) {
            Some(recreate) => match &recreate.moved {
                Some((from, to)) => Reason::ImageMoved { from: from.clone(), to: to.clone() },
                None => asked("up --force-recreate"),
            },
            None => match &self.want.spec.network_mode {
                keel_engine::NetworkMode::Service(host) => {
                    Reason::Follows { service: host.clone() }
                }
                _ => Reason::Missing,
            },
        }
    }
}

/// Findings that count: those that healed by themselves are only shown.
fn open(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|finding| !finding.fixed).cloned().collect()
}

fn located(differences: Vec<Difference>, origins: &Origins) -> Vec<(Difference, Option<Origin>)> {
    let at = |difference: &Difference| locate(origins, &path(difference)).cloned();
    differences
        .into_iter()
        .map(|difference| (at(&difference), difference))
        .map(|(a, b)| (b, a))
        .collect()
}

/// The path of the first key or item that differs.
fn path(difference: &Difference) -> String {
    let name = &difference.name;
    match (&difference.from, &difference.to) {
        (from, Value::Map(to)) => {
            let old = |key: &String| match from {
                Value::Map(from) => from.get(key),
                _ => None,
            };
            let key = to.iter().find(|(key, value)| old(key) != Some(*value)).map(|(key, _)| key);
            key.map_or_else(|| name.clone(), |key| format!("{name}.{key}"))
        }
        (from, Value::List(to)) => {
            let old = |index: usize| match from {
                Value::List(from) => from.get(index),
                _ => None,
            };
            let index = to.iter().enumerate().find(|(i, item)| old(*i) != Some(*item));
            index.map_or_else(|| name.clone(), |(index, _)| format!("{name}[{index}]"))
        }
        _ => name.clone(),
    }
}
