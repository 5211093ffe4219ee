//! The stack's memory as a pass finds it: what is new since the last one is noted first, so that
//! everything after it is decided from one state.

use crate::Inputs;
use crate::condition::{Condition, Fault, is_still};
use crate::desired::{Desired, DesiredService};
use crate::facts::{self, Facts, Occupants, Want, short};
use crate::hopeless;
use crate::look::Look;
use crate::schedule::Spot;
use crate::standing::{Completion, KnownBad, Pull, Recreate, Standing};
use crate::verdict::{Hold, Learned, PlanEntry, Subject, Verdict};
use crate::why::FailureCause;
use keel_engine::{
    Availability, Digest, Goal, NodeName, ObservedTask, PullPolicy, Slot, TaskId, TaskSpec,
};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// The memory, and what was found out on the way.
pub(crate) struct Memory {
    pub standing: Standing,
    pub learned: Vec<Learned>,
}

impl Memory {
    /// As it is kept.
    pub fn of(inputs: &Inputs<'_>) -> Self {
        let mut memory = Self { standing: inputs.standing.clone(), learned: Vec::new() };
        memory.standing.set_back(inputs.now);
        if let Some(desired) = inputs.desired {
            memory.forget(inputs);
            memory.keep_pace(desired);
            memory.end_scales(inputs, desired);
        }
        memory
    }

    /// What it is now: what it was before, if nothing of it changed since.
    pub fn since<'m>(&self, before: &'m Standing, now: &'m OnceCell<Standing>) -> &'m Standing {
        match self.standing == *before {
            true => before,
            false => now.get_or_init(|| self.standing.clone()),
        }
    }

    /// Notes a new stack hash, what a person asked for, and finished pulls.
    pub fn open<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        self.begin(inputs, look, desired);
        self.ask(inputs, look, desired);
        self.pin(inputs, look, desired);
    }

    /// Notes finished jobs, and failures.
    pub fn hear(&mut self, facts: &Facts<'_>, desired: &Desired) {
        self.complete(facts);
        self.fail(facts, desired);
    }

    /// Marks on tasks that are gone mean nothing.
    fn forget(&mut self, inputs: &Inputs<'_>) {
        let (recreate, changed) = (&mut self.standing.recreate, &mut self.standing.changed);
        // Nearly always there are none: a look at every task of the pool is saved then.
        if !(recreate.is_empty() && changed.is_empty()) {
            let alive: HashSet<_> = inputs.nodes.all_tasks().map(|task| &task.id).collect();
            recreate.retain(|_, recreate| alive.contains(&recreate.task));
            changed.retain(|_, changed| alive.contains(&changed.task));
        }
        self.forget_jobs(inputs);
    }

    /// How what is good is replaced may be said anew without another meaning.
    fn keep_pace(&mut self, desired: &Desired) {
        let good = self.standing.good_desired.as_deref_mut();
        let Some(good) = good.filter(|good| good.hash == desired.hash) else { return };
        for (name, service) in &mut good.services {
            if let Some(now) = desired.services.get(name) {
                (service.update, service.rollback) = (now.update, now.rollback);
                service.rollback_order = now.rollback_order;
            }
        }
    }

    /// A number that a person set counts until its time is over, or its service is no longer there.
    fn end_scales(&mut self, inputs: &Inputs<'_>, desired: &Desired) {
        let scaled = std::mem::take(&mut self.standing.scaled).into_iter();
        let (over, holds): (BTreeMap<_, _>, _) = scaled.partition(|(service, scale)| {
            scale.is_over(inputs.now) || !desired.services.contains_key(service)
        });
        self.standing.scaled = holds;
        let ended = over.into_iter();
        self.learned.extend(ended.map(|(service, scale)| Learned::ScaleEnded { service, scale }));
    }

    fn images<'d>(
        &self,
        inputs: &Inputs<'_>,
        desired: &'d Desired,
    ) -> BTreeMap<&'d str, PullPolicy> {
        images(desired, &self.standing, inputs.now)
    }

    /// What was done for a service that is no job any more.
    fn forget_jobs(&mut self, inputs: &Inputs<'_>) {
        let Some(desired) = inputs.desired else { return };
        let Standing { completed, good_desired, .. } = &mut self.standing;
        let is_job_of = |desired: &Desired, slot: &str| {
            let service = slot.split_once('.').and_then(|(name, _)| desired.services.get(name));
            service.is_some_and(|service| service.placement.mode.is_job())
        };
        // A revision that fails gives way to the good one, whose jobs are done.
        let good = good_desired.as_deref();
        completed.retain(|slot, _| {
            is_job_of(desired, slot) || good.is_some_and(|good| is_job_of(good, slot))
        });
    }

    /// Another stack hash gets one try of every service. One that is known bad gets none.
    fn begin<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        let standing = &mut self.standing;
        if standing.tried.as_ref() == Some(&desired.hash) {
            return;
        }
        standing.tried = Some(desired.hash);
        // What an unfinished rollout brought has proven nothing: if it stays, it is this one's to prove.
        if standing.rollout.take().is_none() {
            standing.brought = Arc::default();
        }
        let kept = [standing.good, Some(desired.hash)];
        standing.prepared.retain(|hash| kept.contains(&Some(*hash)));
        self.keep_running_jobs(inputs);
        self.lift_jobs_latches(desired);
        self.unpin(inputs, look, desired);
        self.make_anew(inputs, look, desired);
        if !self.standing.bad.contains_key(&desired.hash) {
            self.standing.rollout = Some(inputs.now);
            self.learned.push(Learned::Began { hash: desired.hash });
        }
    }

    /// A job's task that has ended is only looked at while its own revision is tried.
    fn keep_running_jobs(&mut self, inputs: &Inputs<'_>) {
        let running =
            |id: &TaskId| inputs.nodes.all_tasks().any(|task| task.id == *id && !is_still(task));
        self.standing.jobs.retain(|_, job| running(&job.task));
    }

    /// Who stops a job means that run of it.
    fn lift_jobs_latches(&mut self, desired: &Desired) {
        let is_job = |slot: &String| {
            let service = slot.rsplit_once('.').and_then(|(name, _)| desired.services.get(name));
            service.is_some_and(DesiredService::runs_before_deploy)
        };
        self.standing.stopped.retain(|slot| !is_job(slot));
    }

    /// What failed before is not what another try is judged by.
    fn make_anew<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        if !std::mem::take(&mut self.standing.retry) {
            return;
        }
        let standing = self.standing.clone();
        let facts = Facts::after(look, inputs, &standing, Some(desired));
        for (slot, occupants) in &facts.slots {
            let (Some(want), Some(task)) = (&occupants.want, occupants.current) else { continue };
            if matches!(facts.condition(want, task), Condition::Failed { .. }) {
                let recreate = Recreate { task: task.id.clone(), moved: None };
                self.standing.recreate.insert(crate::facts::short(slot), recreate);
            }
        }
    }

    /// Other images under the same revision are another deploy.
    fn run_jobs_again(&mut self, inputs: &Inputs<'_>) {
        let Some(desired) = inputs.desired else { return };
        self.standing.prepared.remove(&desired.hash);
        let jobs = desired.services.iter().filter(|(_, service)| service.runs_before_deploy());
        for (name, _) in jobs {
            self.standing.completions.remove(name);
        }
        self.keep_running_jobs(inputs);
    }

    /// A pin lasts while a service that was not changed uses it; `always` looks again.
    fn unpin<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        self.unpin_unused(inputs, look, desired);
        let looked = self
            .images(inputs, desired)
            .into_iter()
            .filter(|(_, policy)| *policy == PullPolicy::Always);
        let looked: Vec<_> = looked.map(|(reference, _)| reference.to_owned()).collect();
        for reference in looked {
            self.look_again(inputs, look, desired, &reference);
        }
    }

    fn unpin_unused<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        if self.standing.pins.is_empty() {
            return;
        }
        let standing = self.standing.clone();
        let facts = Facts::after(look, inputs, &standing, Some(desired));
        let kept = facts.slots.values().filter(|occupants| occupants.current.is_some());
        let wants = kept.filter_map(|occupants| occupants.want.as_ref());
        let used: BTreeSet<&str> = wants.map(|want| want.spec.image.as_str()).collect();
        self.standing.pins.retain(|reference, _| used.contains(reference.as_str()));
    }

    fn ask<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        if inputs.asked.resolve || inputs.asked.pull {
            for (reference, policy) in self.images(inputs, desired) {
                match policy {
                    PullPolicy::Never => {}
                    PullPolicy::Missing if !inputs.asked.pull => {
                        self.look_here(inputs, look, desired, reference)
                    }
                    PullPolicy::Missing | PullPolicy::Always => {
                        self.look_again(inputs, look, desired, reference);
                    }
                }
            }
        }
        if inputs.asked.recreate {
            let standing = self.standing.clone();
            let facts = Facts::after(look, inputs, &standing, Some(desired));
            for (slot, occupants) in &facts.slots {
                if let Some(task) = occupants.current.filter(|_| asked_for(inputs, &slot.service)) {
                    let recreate = Recreate { task: task.id.clone(), moved: None };
                    self.standing.recreate.insert(crate::facts::short(slot), recreate);
                    self.standing.completions.remove(&slot.service);
                }
            }
            self.run_jobs_again(inputs);
        }
    }

    /// Asks the registry, though an image is there: each node that uses it.
    fn look_again<'a>(
        &mut self,
        inputs: &'a Inputs<'a>,
        look: &Look<'a>,
        desired: &'a Desired,
        reference: &str,
    ) {
        let users = self.users(inputs, look, desired);
        for node in of_image(users.as_ref(), inputs, reference) {
            let image = inputs.nodes.known(&node).and_then(|seen| seen.image(reference));
            let beyond = Some(image.map_or(0, |image| image.pulls));
            let pull = Pull { at: 0, since: inputs.now, beyond };
            self.standing.pulls.entry(node).or_default().insert(reference.to_owned(), pull);
        }
    }

    /// Images that slots want, each with their nodes. `None`: everything is on the controller's own.
    fn users<'a>(
        &'a self,
        inputs: &'a Inputs<'a>,
        look: &Look<'a>,
        desired: &'a Desired,
    ) -> Option<Users> {
        let nodes = inputs.nodes;
        let mut images = nodes.all_images();
        let elsewhere = images.any(|(node, _)| *node != nodes.home);
        let alone = inputs.pool.is_alone(&nodes.home);
        if alone && !elsewhere && self.standing.placed.is_empty() {
            return None;
        }
        let places = look.places(inputs, &self.standing, Some(desired));
        if self.standing.bad.is_empty() && places.lost.slots.is_empty() {
            // Nothing comes back as it was before: each slot wants what its revision says.
            let wanted = places.wanted.iter().map(|(_, place)| (&place.spot, &*place.spec));
            return Some(users_of(wanted));
        }
        let facts = Facts::after(look, inputs, &self.standing, Some(desired));
        let wants = facts.slots.values().filter_map(|occupants| occupants.want.as_ref());
        Some(users_of(wants.map(|want| (&want.spot, &*want.spec))))
    }

    /// What the tag means on this node is what counts under `missing`. One that is not there is
    /// asked for at once, however lately that failed.
    fn look_here<'a>(
        &mut self,
        inputs: &'a Inputs<'a>,
        look: &Look<'a>,
        desired: &'a Desired,
        reference: &str,
    ) {
        let image = inputs.nodes.image(reference);
        match image.map(|image| image.digest) {
            Some(Some(digest)) => self.repin(inputs, reference, digest),
            Some(None) => self.look_again(inputs, look, desired, reference),
            None => {}
        }
    }

    /// Pins what is there and has no pin; takes the answers of pulls that are over.
    fn pin<'a>(&mut self, inputs: &'a Inputs<'a>, look: &Look<'a>, desired: &'a Desired) {
        let users = self.users(inputs, look, desired);
        for (reference, _) in self.images(inputs, desired) {
            for node in of_image(users.as_ref(), inputs, reference) {
                self.pin_on(inputs, &node, reference);
            }
        }
        let used: BTreeSet<&str> = self.images(inputs, desired).into_keys().collect();
        for pulls in self.standing.pulls.values_mut() {
            pulls.retain(|reference, _| used.contains(reference.as_str()));
        }
        self.standing.pulls.retain(|node, pulls| inputs.nodes.has(node) && !pulls.is_empty());
    }

    fn pin_on(&mut self, inputs: &Inputs<'_>, node: &NodeName, reference: &str) {
        let image = inputs.nodes.known(node).and_then(|seen| seen.image(reference));
        let Some(image) = image.filter(|image| image.pulling.is_none()) else { return };
        let mut pulls = self.standing.pulls.get_mut(node);
        let pull = pulls.as_ref().and_then(|pulls| pulls.get(reference)).copied();
        let over = pull.is_some_and(|pull| match pull.beyond {
            Some(before) => pull.at > 0 && image.pulls > before,
            None => image.digest.is_some(),
        });
        if let Some(pulls) = pulls.as_mut().filter(|_| over) {
            pulls.remove(reference);
        }
        let Some(digest) = image.digest else { return };
        if over && pull.is_some_and(|pull| pull.beyond.is_some()) {
            self.repin(inputs, reference, digest);
        } else {
            self.standing.pins.entry(reference.to_owned()).or_insert(digest);
        }
    }

    /// The tag means this now: tasks of another image are to be replaced, each once.
    fn repin(&mut self, inputs: &Inputs<'_>, reference: &str, to: Digest) {
        for (slot, task) in inputs.nodes.tasks_of(inputs.stack) {
            let moved = task.digest.as_ref().is_some_and(|from| *from != to);
            if moved && task.spec.image == reference && task.goal != Goal::Removed {
                let moved = Some((task.digest, to));
                let recreate = Recreate { task: task.id.clone(), moved };
                self.standing.recreate.insert(crate::facts::short(slot), recreate);
                self.run_jobs_again(inputs);
            }
        }
        self.standing.pins.insert(reference.to_owned(), to);
    }

    /// Jobs whose task ended well are done for this specification and image.
    fn complete(&mut self, facts: &Facts<'_>) {
        for (slot, occupants) in &facts.slots {
            let (Some(want), Some(task)) = (&occupants.want, occupants.current) else { continue };
            if want.service.placement.mode.is_job() {
                self.complete_slot(facts, slot, want, task);
                continue;
            }
            let done = self.standing.completions.get(&slot.service);
            let of = facts.desired.filter(|_| want.service.runs_before_deploy());
            let of = of.map(|desired| desired.hash);
            let known = done.is_some_and(|done| done.hash == want.service.hash && done.of == of);
            let fits = keel_engine::diff(&task.spec, &want.spec).is_empty();
            if !known && fits && facts.condition(want, task) == Condition::Complete {
                let at = task.finished.unwrap_or(facts.now());
                let (hash, digest) = (want.service.hash, task.digest);
                let completion = Completion { hash, digest, at, of };
                self.standing.completions.insert(slot.service.clone(), completion);
                self.learned.push(Learned::Completed { service: slot.service.clone() });
            }
        }
        self.prepare(facts);
    }

    /// Of a service that is a job as a whole, each slot is done by itself, and stays so whatever becomes of
    /// its node.
    fn complete_slot(
        &mut self,
        facts: &Facts<'_>,
        slot: &Slot,
        want: &Want<'_>,
        task: &ObservedTask,
    ) {
        let fits = keel_engine::diff(&task.spec, &want.spec).is_empty();
        let known = facts.standing.is_done(&short(slot), want.service);
        if known || !fits || facts.condition(want, task) != Condition::Complete {
            return;
        }
        let at = task.finished.unwrap_or(facts.now());
        let completion = Completion { hash: want.service.hash, digest: task.digest, at, of: None };
        self.standing.completed.insert(short(slot), completion);
        let is_done = |(slot, all): (&Slot, &Occupants<'_>)| {
            let service = all.want.as_ref().map(|want| want.service);
            service.is_some_and(|service| self.standing.is_done(&short(slot), service))
        };
        if facts.wanted_of(want.name).into_iter().all(is_done) {
            self.learned.push(Learned::Completed { service: slot.service.clone() });
        }
    }

    /// Once its last job is done, a revision needs none again.
    fn prepare(&mut self, facts: &Facts<'_>) {
        let Some(desired) = facts.desired else { return };
        let done = |name: &String| {
            let completion = self.standing.completions.get(name);
            completion.is_some_and(|completion| completion.of.as_ref() == Some(&desired.hash))
        };
        let jobs = desired.services.iter().filter(|(_, service)| service.runs_before_deploy());
        let mut jobs = jobs.map(|(name, _)| name).peekable();
        if jobs.peek().is_some() && jobs.all(done) {
            self.standing.prepared.insert(desired.hash);
        }
    }

    /// A new task that failed makes the revision known bad.
    fn fail(&mut self, facts: &Facts<'_>, desired: &Desired) {
        let Some(since) = self.standing.rollout.filter(|_| facts.bad.is_none()) else { return };
        let failed = facts.slots.iter().find_map(|(slot, occupants)| {
            let (cause, want) = (failure(facts, occupants)?, occupants.want.as_ref()?);
            let counts = has_failed(facts, want.name, want.service);
            let task = Some(occupants.current?.id.clone());
            counts.then(|| (slot.clone(), task, cause, want.service))
        });
        let placeless = || {
            let (slot, cause) = hopeless::failure(facts)?;
            let service = desired.services.get(&slot.service)?;
            Some((slot, None, cause, service))
        };
        let Some((slot, task, cause, service)) = failed.or_else(placeless) else { return };
        let cause = FailureCause::InSlot { slot, cause: Box::new(cause) };
        let revision = desired.revision.clone();
        let (at, action) = (facts.now(), facts.pace(service).failure_action);
        let bad = KnownBad { revision, at, cause: cause.clone(), since, action };
        self.standing.bad.insert(desired.hash, bad);
        self.standing.rollout = None;
        if facts::goes_back(facts.inputs, &self.standing) {
            self.standing.brought = Arc::default();
        }
        self.learned.push(Learned::Failed { hash: desired.hash, cause, task });
    }

    /// All that the revision changed is settled: it is the one to come back to.
    pub fn settle(&mut self, facts: &Facts<'_>, entries: &[PlanEntry]) {
        let Some(desired) = facts.inputs.desired else { return };
        let standing = &mut self.standing;
        let open = standing.rollout.is_some() || facts.bad.is_some();
        // What is planned towards may be what was good before; that says nothing about this one.
        let other = facts.desired.is_none_or(|planned| planned.hash != desired.hash);
        if !open || other || !facts.inputs.asked.services.is_empty() {
            return;
        }
        if !entries.iter().all(|entry| agrees(facts, entry)) {
            return;
        }
        standing.rollout = None;
        standing.brought = Arc::default();
        standing.changed.clear();
        standing.bad.remove(&desired.hash);
        standing.good = Some(desired.hash);
        standing.good_desired = Some(Box::new(desired.clone()));
        let used = images(desired, standing, facts.now());
        let mut meant = standing.pins.clone();
        meant.retain(|reference, _| used.contains_key(reference.as_str()));
        standing.good_images = meant;
        self.learned.push(Learned::Settled { hash: desired.hash });
    }
}

/// Images, each with the nodes of slots that want it.
type Users = BTreeMap<String, BTreeSet<NodeName>>;

fn users_of<'w, 'a: 'w>(wanted: impl Iterator<Item = (&'w Spot<'a>, &'w TaskSpec)>) -> Users {
    let mut users = Users::new();
    for (spot, spec) in wanted.filter(|(spot, _)| !spot.is_nowhere()) {
        match users.get_mut(&spec.image) {
            Some(nodes) if nodes.contains(spot.node) => {}
            Some(nodes) => drop(nodes.insert(spot.node.clone())),
            None => drop(users.insert(spec.image.clone(), [spot.node.clone()].into())),
        }
    }
    users
}

fn of_image(users: Option<&Users>, inputs: &Inputs<'_>, reference: &str) -> Vec<NodeName> {
    match users {
        None => vec![inputs.nodes.home.clone()],
        Some(users) => users.get(reference).into_iter().flatten().cloned().collect(),
    }
}

/// Whether a verdict does not speak against the revision. What is held or stopped has no vote,
/// nor has a failure of what the revision did not touch.
fn agrees(facts: &Facts<'_>, entry: &PlanEntry) -> bool {
    let Verdict::Hold(hold) = &entry.verdict else { return false };
    if is_repair(facts, &entry.subject) {
        return false;
    }
    match hold {
        Hold::Converged | Hold::Complete | Hold::Stopped => true,
        // What should leave its node, and cannot, is as it shall be all the same; unless it is not.
        Hold::CannotMove { .. } => match &entry.subject {
            Subject::Slot(slot) => {
                facts.slots.get(slot).is_none_or(|occupants| occupants.current.is_some())
            }
            _ => true,
        },
        // What does not count while its node is down gets the revision when that is back.
        Hold::NodeDown { tie: None, .. } => true,
        // Where an earlier one runs on, coming back to this would end it.
        Hold::NotRunYet { .. } | Hold::Lacking { .. } => match &entry.subject {
            Subject::Slot(slot) => facts
                .slots
                .get(slot)
                .is_none_or(|occupants| occupants.all().all(|task| task.goal > Goal::Running)),
            _ => true,
        },
        Hold::RunsInDocker { .. } | Hold::Kept { .. } | Hold::ReportOnly => true,
        Hold::Failed { .. } | Hold::Late { .. } => match &entry.subject {
            Subject::Slot(slot) => facts.slots.get(slot).is_some_and(|occupants| {
                let (want, task) = (occupants.want.as_ref(), occupants.current);
                // Of what counted, too few failed.
                let is_allowed = || failure(facts, occupants).is_some();
                want.zip(task).is_some_and(|(want, task)| {
                    facts.bad.is_none() && (!facts.patience(want, task).fresh || is_allowed())
                })
            }),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a slot is as it was before the revision for now.
fn is_repair(facts: &Facts<'_>, subject: &Subject) -> bool {
    let Subject::Slot(slot) = subject else { return false };
    let want = facts.slots.get(slot).and_then(|occupants| occupants.want.as_ref());
    want.is_some_and(|want| want.is_repair)
}

/// What failed in a slot, if its new task did, or one that was changed in place. A new one that runs
/// with data of its own is never killed for being late: it may be migrating.
pub(crate) fn failure(facts: &Facts<'_>, occupants: &Occupants<'_>) -> Option<FailureCause> {
    let (want, task) = (occupants.want.as_ref()?, occupants.current?);
    let patience = facts.patience(want, task);
    let done = patience.before_deploy && is_job_done(facts, want.name);
    if !patience.fresh || done {
        return None;
    }
    let is_new = patience.changed.is_none();
    match facts.condition(want, task) {
        Condition::Failed { fault: Fault::Late, .. }
            if is_new && facts.has_own_data(&task.spec) =>
        {
            None
        }
        Condition::Failed { fault: Fault::Passing, .. } => None,
        Condition::Failed { cause, .. } => Some(cause),
        _ => None,
    }
}

/// Whether more slots of a service failed than may. Of what ends by itself none may.
pub(crate) fn has_failed(facts: &Facts<'_>, name: &str, service: &DesiredService) -> bool {
    let slots = facts.slots_of(name).filter(|(_, all)| failure(facts, all).is_some());
    let failed = u32::try_from(slots.count()).unwrap_or(u32::MAX);
    if service.runs_before_deploy() || service.placement.mode.is_job() {
        return failed > 0;
    }
    facts.pace(service).is_exceeded(failed, wanted_slots(facts, name))
}

/// How many slots a rollout of a service is judged by: of a global one, those whose nodes answer and
/// are not to be emptied.
pub(crate) fn wanted_slots(facts: &Facts<'_>, name: &str) -> u32 {
    let counts = |want: &Want<'_>| {
        let drained = facts.inputs.pool.facts(want.node).availability == Availability::Drain;
        let away = facts.inputs.nodes.silent(want.node).is_some() || drained;
        !(want.service.placement.mode.is_global() && away)
    };
    let wants = facts.slots_of(name).filter_map(|(_, all)| all.want.as_ref());
    u32::try_from(wants.filter(|want| counts(want)).count()).unwrap_or(u32::MAX)
}

/// References in use, each with the most eager policy that a service gives it.
pub(crate) fn images<'d>(
    desired: &'d Desired,
    standing: &Standing,
    now: u64,
) -> BTreeMap<&'d str, PullPolicy> {
    let mut images = BTreeMap::new();
    let runs = desired.services.iter().filter(|(name, service)| {
        service.held.is_empty() && standing.replicas(name, service, now) > 0
    });
    for service in runs.map(|(_, service)| service).filter(|service| !service.spec.image.is_empty())
    {
        let policy = images.entry(service.spec.image.as_str()).or_insert(PullPolicy::Never);
        let rank = |policy: PullPolicy| match policy {
            PullPolicy::Never => 0,
            PullPolicy::Missing => 1,
            PullPolicy::Always => 2,
        };
        if rank(service.spec.pull_policy) > rank(*policy) {
            *policy = service.spec.pull_policy;
        }
    }
    images
}

/// Whether a person's command is about this service: it, or what it depends on.
pub(crate) fn asked_for(inputs: &Inputs<'_>, service: &str) -> bool {
    let asked = &inputs.asked.services;
    if asked.is_empty() {
        return true;
    }
    let Some(desired) = inputs.desired else { return false };
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = asked.iter().map(String::as_str).collect();
    let jobs = desired.services.iter().filter(|(_, service)| service.runs_before_deploy());
    next.extend(jobs.map(|(name, _)| name.as_str()));
    while let Some(name) = next.pop() {
        if wanted.insert(name)
            && let Some(service) = desired.services.get(name)
        {
            next.extend(service.depends_on.iter().map(|dependency| dependency.service.as_str()));
        }
    }
    wanted.contains(service)
}

/// Whether the job of a slot is done, for what is desired now.
pub(crate) fn is_complete(facts: &Facts<'_>, slot: &Slot) -> bool {
    let services = facts.desired.map(|desired| &desired.services);
    let service = services.and_then(|services| services.get(&slot.service));
    match service.filter(|service| service.placement.mode.is_job()) {
        // Coming back to an earlier revision runs no job again.
        Some(_) if is_back(facts) => facts.standing.completed.contains_key(&short(slot)),
        Some(service) => facts.standing.is_done(&short(slot), service),
        None => is_job_done(facts, &slot.service),
    }
}

/// Whether an earlier revision was come back to.
fn is_back(facts: &Facts<'_>) -> bool {
    let failed = facts.bad.is_some() && facts::goes_back(facts.inputs, facts.standing);
    failed || facts.standing.pinned.is_some()
}

/// Whether the service's job is done, for what is desired now.
pub(crate) fn is_job_done(facts: &Facts<'_>, name: &str) -> bool {
    let Some(service) = facts.desired.and_then(|desired| desired.services.get(name)) else {
        return false;
    };
    let done = facts.standing.completions.get(name);
    if service.runs_before_deploy() {
        let hash = facts.desired.map(|desired| &desired.hash);
        return facts.comes_back()
            || hash.is_some_and(|hash| facts.standing.prepared.contains(hash))
            || done.is_some_and(|done| done.of.as_ref() == hash);
    }
    let Some(done) = done else { return false };
    // Coming back to an earlier revision runs no job again.
    facts.is_job(service) && (is_back(facts) || done.hash == service.hash)
}
