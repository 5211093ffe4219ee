//! Jobs before a deploy, and what waits for them: while a revision's images are on their way, or
//! one of its jobs is not done, nothing of the old is touched.

use super::one_slot::Judge;
use super::person::start;
use crate::condition::{Condition, exits, has_last_try, is_still};
use crate::desired::{self, DependsOn, Desired};
use crate::draft::{Draft, Judgment, act, hold};
use crate::facts::{Facts, Occupants};
use crate::memory::is_job_done;
use crate::verdict::{Action, Hold, Reason};
use crate::why::{Activity, FailureCause, PersonsCommand};
use crate::{waits, wish};
use keel_engine::{Goal, ObservedTask, Phase, Slot, diff};

/// A job's task that was tried so often and never began is given up.
const TRIES: u32 = 3;

/// What a slot that would be changed waits for.
pub(super) fn wait(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Hold> {
    if let Some(task) = occupants.all().find(|task| is_earlier_job(facts, slot, task)) {
        let activity = Activity::JobOfRevisionRuns { revision: task.revision.clone() };
        return Some(Hold::InProgress { activity });
    }
    if !changes(facts, occupants) {
        return None;
    }
    let has_old = occupants.all().next().is_some();
    earlier_job(facts)
        .or_else(|| has_old.then(|| waits::lacking(facts, draft, slot)).flatten())
        .or_else(|| jobs_first(facts, draft, slot, occupants))
}

/// Whether the slot is not already what it shall be.
fn changes(facts: &Facts<'_>, occupants: &Occupants<'_>) -> bool {
    let (Some(want), Some(task)) = (&occupants.want, occupants.current) else { return true };
    !occupants.rest.is_empty()
        || !diff(&task.spec, &want.spec).is_empty()
        || facts.stale_network_of(task).is_some()
}

/// A job of another revision that is still running: two at a time are what nobody wants.
fn earlier_job(facts: &Facts<'_>) -> Option<Hold> {
    if facts.standing.jobs.is_empty() {
        return None;
    }
    let slots = facts.slots.iter();
    let mut tasks = slots.flat_map(|(slot, all)| all.all().map(move |task| (slot, task)));
    let (slot, task) = tasks.find(|(slot, task)| is_earlier_job(facts, slot, task))?;
    let (service, revision) = (slot.service.clone(), task.revision.clone());
    Some(Hold::InProgress { activity: Activity::AwaitsJobOfRevision { service, revision } })
}

fn is_earlier_job(facts: &Facts<'_>, slot: &Slot, task: &ObservedTask) -> bool {
    let Some(job) = facts.standing.jobs.get(&slot.service) else { return false };
    let planned = facts.desired.map(|desired: &Desired| &desired.hash);
    job.task == task.id && Some(&job.of) != planned && is_under_way(task)
}

/// Whether it runs, or will without anybody's doing.
fn is_under_way(task: &ObservedTask) -> bool {
    let never_begins = task.started.is_none() && task.attempts >= TRIES;
    !is_still(task) && !never_begins && !fails_for_ever(task)
}

fn fails_for_ever(task: &ObservedTask) -> bool {
    task.phase == Phase::Backoff && exits(task) >= TRIES && !has_last_try(task)
}

/// The first job that is not done. What the jobs need goes before them; a network that they are
/// on, and that is made anew, cannot wait for them.
fn jobs_first(
    facts: &Facts<'_>,
    draft: &Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Hold> {
    let first = facts.first();
    let services = &facts.desired?.services;
    let needed = |network: &str| {
        let mut specs = first.iter().filter_map(|name| Some(&services.get(*name)?.spec));
        specs.any(|spec| spec.networks.iter().any(|attachment| attachment.network == network))
    };
    let mut stale = occupants.all().filter_map(|task| facts.stale_network_of(task));
    if first.contains(&slot.service.as_str()) || stale.any(needed) {
        return None;
    }
    let mut jobs = first.iter().filter(|name| services[**name].runs_before_deploy());
    let job = jobs.find(|name| !is_job_done(facts, name))?;
    let (service, condition) = ((*job).to_owned(), desired::Condition::Completed);
    let on = DependsOn { service, condition, required: true, restart: false };
    Some(waits::unmet(draft, &on, &crate::facts::slot(facts.inputs, job, 1)))
}

impl Judge<'_, '_> {
    /// The slot of a job before the deploy.
    pub(super) fn job(&mut self, occupants: &Occupants<'_>) -> Judgment {
        if let Some(verdict) = self.end_of_vain_tries(occupants) {
            return verdict;
        }
        if is_job_done(self.facts, self.want.name) {
            return hold(self.done());
        }
        match occupants.current {
            Some(task) => self.job_task(task),
            None => self.begin_job(occupants),
        }
    }

    /// Of one that failed for good, or can never begin, no further run is wanted.
    fn end_of_vain_tries(&self, occupants: &Occupants<'_>) -> Option<Judgment> {
        let own = |task: &ObservedTask| Some(&task.id) == occupants.current.map(|own| &own.id);
        let vain = |task: &&ObservedTask| {
            task.goal < Goal::Stopped
                && !is_still(task)
                && (fails_for_ever(task) || (!own(task) && !is_under_way(task)))
        };
        let wishes: Vec<_> = occupants
            .all()
            .filter(vain)
            .map(|task| wish::again(task, Goal::Stopped, self.draft.generation))
            .collect();
        let cause = FailureCause::NotTriedAgain;
        (!wishes.is_empty()).then(|| act(Action::Stop, Reason::Failed { cause }, wishes))
    }

    /// Coming back runs no job; that the one of the failed revision is not done is said.
    fn done(&self) -> Hold {
        let (facts, name) = (self.facts, self.want.name);
        let bad = facts.bad.zip(facts.inputs.desired).filter(|_| facts.comes_back());
        let undone = bad.filter(|(_, revision)| {
            let done = facts.standing.completions.get(name);
            let named = revision.services.get(name).is_some_and(|job| job.runs_before_deploy());
            named
                && !facts.standing.prepared.contains(&revision.hash)
                && done.is_none_or(|done| done.of.as_ref() != Some(&revision.hash))
        });
        match undone {
            Some((bad, _)) => {
                let (revision, cause) = (bad.revision.clone(), bad.cause.clone());
                Hold::KnownBad { revision, cause }
            }
            None => Hold::Complete,
        }
    }

    fn job_task(&mut self, task: &ObservedTask) -> Judgment {
        match self.facts.condition(self.want, task) {
            Condition::Complete => hold(Hold::Complete),
            Condition::Failed { cause, .. } => hold(Hold::Failed { cause }),
            Condition::Waiting { hold: why, until } => {
                until.into_iter().for_each(|at| self.draft.wake(at));
                hold(why)
            }
            Condition::Ended { exit_code, from } => {
                self.run_again(task, Action::Start, Reason::Ended { exit_code }, from)
            }
            Condition::Stopped => start(self.draft, task, PersonsCommand::Start),
            Condition::Stopping => hold(Hold::InProgress { activity: Activity::Stopping }),
            Condition::Going => hold(Hold::InProgress { activity: Activity::Removing }),
            Condition::Well | Condition::Ready | Condition::Killed { .. } => {
                hold(Hold::InProgress { activity: Activity::Runs })
            }
        }
    }

    fn begin_job(&mut self, occupants: &Occupants<'_>) -> Judgment {
        if occupants.rest.iter().any(|task| !is_still(task)) {
            return hold(Hold::InProgress { activity: Activity::EarlierRunEnds });
        }
        let obstacle = waits::lacking(self.facts, self.draft, self.slot)
            .or_else(|| waits::obstacle(self.facts, self.draft, self.want));
        if let Some(obstacle) = obstacle {
            return hold(obstacle);
        }
        let last = occupants.rest.first().copied();
        let (generation, goal) = (self.draft.generation, Goal::Running);
        let new = wish::new_task(self.facts, self.slot, self.want, last, generation, goal);
        if let keel_engine::Assignment::Task(task) = &new {
            self.draft.jobs.push((self.want.name.to_owned(), task.id.clone()));
        }
        let ended = occupants.rest.iter().filter(|task| task.goal != Goal::Removed);
        let ended = ended.map(|task| wish::remove(task, false, self.draft.generation));
        let wishes = std::iter::once(new).chain(ended).collect();
        let reason = Reason::BeforeDeploy { revision: self.want.revision.to_owned() };
        act(Action::Start, reason, wishes)
    }
}
