//! The right task, alone in its slot: changed in place, healed, started again, or left as it is.

use super::one_slot::Judge;
use super::person::{follow, start};
use super::reasons::{located, open};
use crate::condition::{Condition, Fault, available_since};
use crate::desired::DriftPolicy;
use crate::draft::{Judgment, act, hold};
use crate::machine::lack_beyond;
use crate::memory::is_complete;
use crate::verdict::{Action, Hold, Reason};
use crate::why::{Activity, PersonsCommand};
use crate::wish;
use keel_engine::{Goal, ObservedTask, diff};

impl Judge<'_, '_> {
    pub(super) fn alone(&mut self, task: &ObservedTask) -> Judgment {
        if let Some(verdict) = self.off_a_stale_network(&[task]) {
            return verdict;
        }
        let differences = diff(&task.spec, &self.want.spec);
        if !differences.is_empty() {
            if let Some(lack) = lack_beyond(self.facts, self.want, &task.spec) {
                return hold(lack);
            }
            let reason =
                Reason::Changed { differences: located(differences, &self.want.service.origins) };
            let wish = wish::update(task, self.want, self.draft.generation);
            return act(Action::Update, reason, vec![wish]);
        }
        match self.facts.condition(self.want, task) {
            Condition::Complete => hold(Hold::Complete),
            Condition::Failed { cause, fault } => {
                // It may yet hold out, and be well.
                let patience = self.facts.patience(self.want, task);
                let settles = available_since(task).map(|since| since + patience.settle);
                settles.into_iter().for_each(|at| self.draft.wake(at));
                hold(match fault {
                    Fault::Late => Hold::Late { cause },
                    Fault::Broken | Fault::Passing => Hold::Failed { cause },
                })
            }
            Condition::Waiting { hold: why, until } => {
                until.into_iter().for_each(|at| self.draft.wake(at));
                hold(why)
            }
            Condition::Killed { from } => self.killed(task, from),
            Condition::Ended { exit_code, from } => {
                self.ended(task, Reason::Ended { exit_code }, from)
            }
            Condition::Stopping => hold(Hold::InProgress { activity: Activity::Stopping }),
            Condition::Going => hold(Hold::InProgress { activity: Activity::Removing }),
            Condition::Stopped => match self.facts.given_up() {
                Some(bad) => {
                    let reason = Reason::Failed { cause: bad.cause.clone() };
                    let wish = wish::again(task, Goal::Running, self.draft.generation);
                    act(Action::Start, reason, vec![wish])
                }
                None => start(self.draft, task, PersonsCommand::Start),
            },
            Condition::Ready => {
                let wish = wish::again(task, Goal::Running, self.draft.generation);
                act(Action::Start, Reason::Missing, vec![wish])
            }
            Condition::Well => self.well(task),
        }
    }

    fn killed(&mut self, task: &ObservedTask, from: u64) -> Judgment {
        if self.facts.drift_policy(self.want.service) == DriftPolicy::Report {
            return hold(Hold::ReportOnly);
        }
        let counted = open(&task.findings);
        let findings = if counted.is_empty() { vec![crate::drift::killed(task)] } else { counted };
        self.run_again(task, Action::Heal, Reason::Drifted { findings }, from)
    }

    fn ended(&mut self, task: &ObservedTask, reason: Reason, from: u64) -> Judgment {
        if is_complete(self.facts, self.slot) {
            return hold(Hold::Complete);
        }
        self.run_again(task, Action::Start, reason, from)
    }

    /// What ends at once is not started again at once.
    pub(super) fn run_again(
        &mut self,
        task: &ObservedTask,
        action: Action,
        reason: Reason,
        from: u64,
    ) -> Judgment {
        if self.facts.now() < from {
            self.draft.wake(from);
            return hold(Hold::InProgress { activity: Activity::StartingSoon });
        }
        act(action, reason, vec![wish::again(task, Goal::Running, self.draft.generation)])
    }

    fn well(&mut self, task: &ObservedTask) -> Judgment {
        if let Some(service) = self.leader(task) {
            return follow(self.draft, task, &service);
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
    pub(super) fn leader(&self, task: &ObservedTask) -> Option<String> {
        let started = task.started?;
        let follow = self.want.service.depends_on.iter().filter(|dependency| dependency.restart);
        follow
            .map(|dependency| &dependency.service)
            .find(|service| {
                self.facts.slots_of(service).any(|(_, occupants)| {
                    occupants.rest.is_empty()
                        && occupants.current.is_some_and(|other| {
                            other.created > started && available_since(other).is_some()
                        })
                })
            })
            .cloned()
    }
}
