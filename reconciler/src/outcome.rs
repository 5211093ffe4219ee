//! What a plan comes to, for the record and for whoever waits: pure.

use crate::ask::Outcome;
use crate::history::{self, Note};
use crate::operation::{OperationReason, OperationState, PastAction};
use crate::refusal::with_causes;
use crate::trigger::Trigger;
use keel_engine::{EngineError, Goal, Nodes, Slot};
use keel_plan::desired::Owner;
use keel_plan::text;
use keel_plan::verdict::{Hold, Learned, Plan, PlanEntry, Reason, Subject, Verdict};
use keel_plan::why::{FailureCause, Refusal};

/// So often a step is tried while a person waits for it.
pub(crate) const ATTEMPTS: u32 = 4;

/// What a pass came to, for the status and the history. The owner is where its revision is from.
pub(crate) fn note_of(
    plan: &Plan,
    refused: Option<&EngineError>,
    owner: Option<&Owner>,
    at: u64,
) -> Note {
    let (state, reason) = state_of(plan, refused);
    let about_image = |entry: &&PlanEntry| matches!(entry.subject, Subject::Image(_));
    let awaits_image = |entry: &PlanEntry| match &entry.verdict {
        Verdict::Act { .. } => about_image(&entry),
        Verdict::Hold(hold) => matches!(hold, Hold::AwaitingImage { .. }),
    };
    let is_to_start = |entry: &PlanEntry| match &entry.verdict {
        Verdict::Act { .. } => !about_image(&entry),
        Verdict::Hold(Hold::AwaitingHealth { .. }) => false,
        Verdict::Hold(hold) => !hold.is_final(),
    };
    let entry = history::HistoryEntry {
        trigger: trigger(plan, owner),
        revision: plan.revision.clone(),
        state,
        reason,
        at,
        actions: plan.entries.iter().filter_map(PastAction::of).collect(),
        ..history::HistoryEntry::default()
    };
    Note {
        entry,
        arrives: begins(plan) && plan.standing.pinned.is_none(),
        pulling: plan.entries.iter().any(awaits_image),
        starting: plan.entries.iter().any(is_to_start),
    }
}

/// Whether this is a revision's first pass.
fn begins(plan: &Plan) -> bool {
    plan.learned.iter().any(|learned| matches!(learned, Learned::Began { .. }))
}

/// What or who made a pass do something.
fn trigger(plan: &Plan, owner: Option<&Owner>) -> Trigger {
    let source = match owner {
        Some(Owner::Source { name, .. }) => Some(name.clone()),
        _ => None,
    };
    if begins(plan) {
        let revision = plan.revision.clone();
        return match &plan.standing.pinned {
            Some(pinned) => Trigger::Rollback { revision, by: pinned.by.clone() },
            None => Trigger::Revision { revision, source },
        };
    }
    if let Some(scaled) = scaled(plan) {
        return scaled;
    }
    let reasons = plan.entries.iter().filter_map(|entry| match &entry.verdict {
        Verdict::Act { reason, .. } => Some(reason),
        Verdict::Hold(_) => None,
    });
    let of_reason = |reason: &Reason| match reason {
        Reason::Asked { command } => Some(Trigger::Command { command: *command }),
        Reason::Drifted { .. } => Some(Trigger::Drift),
        Reason::Ended { .. } | Reason::Missing => Some(Trigger::NotThere),
        Reason::ImageMoved { .. } => Some(Trigger::TagMoved),
        Reason::NotInSource => Some(Trigger::LeftSource { source: source.clone() }),
        _ => None,
    };
    reasons.into_iter().find_map(of_reason).unwrap_or(Trigger::Look)
}

/// What a person asked of the number of tasks or their places, where that makes the pass do something.
fn scaled(plan: &Plan) -> Option<Trigger> {
    let ended = plan.learned.iter().find_map(|learned| match learned {
        Learned::ScaleEnded { service, scale } => Some((service.clone(), scale.clone())),
        _ => None,
    });
    if let Some((service, scale)) = ended {
        return Some(Trigger::ScaleEnded { service, scale });
    }
    let evens = |entry: &PlanEntry| {
        let Verdict::Act { reason: Reason::Moved { because, .. }, .. } = &entry.verdict else {
            return false;
        };
        matches!(because, Some(Refusal::Uneven { .. }))
    };
    if let Some(asked) = plan.standing.rebalance.as_ref().filter(|_| plan.entries.iter().any(evens))
    {
        return Some(Trigger::Rebalance { by: asked.by.clone() });
    }
    plan.entries.iter().find_map(|entry| {
        let (Subject::Slot(slot), Verdict::Act { reason: Reason::Scaled { by: Some(_), .. }, .. }) =
            (&entry.subject, &entry.verdict)
        else {
            return None;
        };
        let scale = plan.standing.scaled.get(&slot.service)?.clone();
        Some(Trigger::Scaled { service: slot.service.clone(), scale })
    })
}

fn state_of(plan: &Plan, refused: Option<&EngineError>) -> (OperationState, OperationReason) {
    let failed = plan.learned.iter().find_map(|learned| match learned {
        Learned::Failed { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    if let Some(cause) = failed {
        return (OperationState::Failed, OperationReason::Failed { cause });
    }
    if let Some(error) = refused {
        return (OperationState::Failed, OperationReason::Broken { error: with_causes(error) });
    }
    let worst = plan.entries.iter().max_by_key(|entry| weight(&entry.verdict));
    match worst.map(|entry| (state_of_verdict(&entry.verdict), OperationReason::from(entry))) {
        None | Some((OperationState::Succeeded, _)) => {
            let gone = plan.is_gone();
            let reason = if gone { OperationReason::Removed } else { OperationReason::AsDesired };
            (OperationState::Succeeded, reason)
        }
        Some(other) => other,
    }
}

/// What is worth telling first.
fn weight(verdict: &Verdict) -> u8 {
    match state_of_verdict(verdict) {
        OperationState::Succeeded => 0,
        OperationState::Held => 1,
        OperationState::Failed => 2,
        OperationState::Running if matches!(verdict, Verdict::Hold(_)) => 3,
        OperationState::Running => 4,
    }
}

fn state_of_verdict(verdict: &Verdict) -> OperationState {
    match verdict {
        Verdict::Act { .. } => OperationState::Running,
        Verdict::Hold(hold) if !hold.is_final() => OperationState::Running,
        Verdict::Hold(hold) => match hold {
            Hold::Failed { .. }
            | Hold::Late { .. }
            | Hold::KnownBad { .. }
            | Hold::NotFound { .. }
            | Hold::NodeDown { tie: Some(_), .. }
            | Hold::NoPlace { .. } => OperationState::Failed,
            // It may be heard in a moment.
            Hold::NodeUnknown { .. } => OperationState::Running,
            Hold::Suspended { .. }
            | Hold::OwnedBy { .. }
            | Hold::NotRunYet { .. }
            | Hold::Lacking { .. }
            | Hold::RunsInDocker { .. } => OperationState::Held,
            _ => OperationState::Succeeded,
        },
    }
}

/// Whether all is as it shall be: nothing is under way, awaited, held or failed.
pub(crate) fn is_at_rest(plan: &Plan) -> bool {
    let succeeded =
        |entry: &PlanEntry| state_of_verdict(&entry.verdict) == OperationState::Succeeded;
    plan.entries.iter().all(succeeded)
}

/// What a command that converged ends with: what failed or is held, one line each.
pub(crate) fn ending(plan: &Plan) -> (Outcome, Vec<String>) {
    let bad = |entry: &&PlanEntry| {
        matches!(state_of_verdict(&entry.verdict), OperationState::Failed | OperationState::Held)
    };
    let all: Vec<_> = plan.entries.iter().filter(bad).collect();
    let notes: Vec<_> = all.iter().filter(|entry| !is_told_by_another(entry, &all)).collect();
    let notes: Vec<_> = notes.into_iter().map(|entry| line(entry)).collect();
    let late = |entry: &PlanEntry| matches!(entry.verdict, Verdict::Hold(Hold::Late { .. }));
    let outcome = match plan.entries.iter().filter(bad).all(late) {
        _ if notes.is_empty() => Outcome::Done,
        true => Outcome::Unhealthy,
        false => Outcome::Failed,
    };
    (outcome, notes)
}

/// What is still awaited, one line each.
pub(crate) fn awaited(plan: &Plan) -> Vec<String> {
    let open = |entry: &&PlanEntry| state_of_verdict(&entry.verdict) == OperationState::Running;
    plan.entries.iter().filter(open).map(line).collect()
}

/// Slots that wait, each with what for. How an image comes is told of the image.
pub(crate) fn waiting(plan: &Plan) -> Vec<(Slot, String)> {
    let waits = |entry: &PlanEntry| match (&entry.subject, &entry.verdict) {
        (_, Verdict::Hold(Hold::AwaitingImage { .. })) => None,
        (Subject::Slot(slot), Verdict::Hold(hold)) if !hold.is_final() => {
            Some((slot.clone(), text::of_hold(hold)))
        }
        _ => None,
    };
    plan.entries.iter().filter_map(waits).collect()
}

/// Whether nothing but health and time is waited for.
pub(crate) fn only_health_is_open(plan: &Plan) -> bool {
    plan.entries.iter().all(|entry| match &entry.verdict {
        Verdict::Act { .. } => false,
        Verdict::Hold(Hold::AwaitingHealth { .. }) => true,
        Verdict::Hold(hold) => hold.is_final(),
    })
}

/// Whether everything that is open waits for images that their registries say do not exist. The
/// daemon goes on waiting (a push may overtake its build); a person wants to know at once.
pub(crate) fn only_missing_images_are_open(plan: &Plan, seen: &Nodes) -> bool {
    let refused = |reference: &str| {
        seen.all_images().any(|(_, image)| {
            image.reference == reference
                && image.failure.as_ref().is_some_and(|failure| !failure.kind.may_pass())
                && image.pulling.is_none()
        })
    };
    let waits = |entry: &PlanEntry| match &entry.verdict {
        Verdict::Act { .. } => false,
        Verdict::Hold(Hold::AwaitingImage { image, .. }) => refused(image),
        Verdict::Hold(Hold::AwaitingDependency { .. } | Hold::RolloutFull { .. }) => true,
        Verdict::Hold(hold) => hold.is_final(),
    };
    !plan.is_settled() && plan.entries.iter().all(waits)
}

/// Whether everything that is open waits for a step that fails again and again: a port that is
/// taken, a folder that cannot be made. The daemon goes on trying; a person wants to know.
pub(crate) fn only_vain_attempts_are_open(plan: &Plan, seen: &Nodes) -> bool {
    let vain = |slot: &Slot| {
        let mut tasks = seen.all_tasks().filter(|task| task.place.slot() == Some(slot));
        tasks.any(|task| task.attempts >= ATTEMPTS && task.goal < Goal::Stopped)
    };
    let mut tried_in_vain = false;
    let open = plan.entries.iter().all(|entry| match (&entry.subject, &entry.verdict) {
        (Subject::Slot(slot), Verdict::Hold(Hold::InProgress { .. })) if vain(slot) => {
            tried_in_vain = true;
            true
        }
        (
            _,
            Verdict::Hold(
                Hold::AwaitingHealth { .. }
                | Hold::AwaitingDependency { .. }
                | Hold::RolloutFull { .. },
            ),
        ) => true,
        (_, Verdict::Hold(hold)) => hold.is_final(),
        (_, Verdict::Act { .. }) => false,
    });
    open && tried_in_vain
}

/// A verdict as people would say it, with what it is about.
fn line(entry: &PlanEntry) -> String {
    OperationReason::from(entry).to_string()
}

/// What an entry tells of something else: an image's failure is not told again for each slot that
/// needs it, nor a revision's for each slot that is left as it is, nor what a machine lacks for each that waits
/// with it.
fn is_told_by_another(entry: &PlanEntry, all: &[&PlanEntry]) -> bool {
    let Verdict::Hold(hold) = &entry.verdict else { return false };
    let others = all.iter().filter(|other| other.subject != entry.subject);
    others.into_iter().any(|other| match (hold, &other.subject, &other.verdict) {
        (
            Hold::Failed { cause },
            Subject::Image(_),
            Verdict::Hold(Hold::Failed { cause: of_image }),
        ) => cause == of_image,
        (
            Hold::KnownBad { cause, .. },
            Subject::Slot(slot),
            Verdict::Hold(Hold::Failed { cause: own } | Hold::Late { cause: own }),
        ) => {
            let (slot, own) = (slot.clone(), Box::new(own.clone()));
            keel_plan::text::is_same_failure(cause, &FailureCause::InSlot { slot, cause: own })
        }
        (Hold::NotFound { subject }, about, Verdict::Hold(Hold::NotFound { subject: missing })) => {
            subject == missing && missing == about
        }
        (Hold::Lacking { service, .. }, Subject::Slot(about), Verdict::Hold(same)) => {
            let of_service = |slot: &Slot| slot.service == *service;
            let is_own = matches!(&entry.subject, Subject::Slot(slot) if of_service(slot));
            hold == same && of_service(about) && !is_own
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::StackName;

    fn unhealthy() -> FailureCause {
        FailureCause::Unhealthy { after: 5, output: None }
    }

    #[test]
    fn what_is_only_late_is_no_failure() {
        let slot = |name: &str| {
            Subject::Slot(Slot {
                stack: StackName::new("hello").unwrap(),
                service: name.into(),
                slot: "1".into(),
            })
        };
        let late = || Hold::Late { cause: unhealthy() };
        let failed = || Hold::Failed { cause: FailureCause::Other("exited (1)".into()) };
        let outcome = |holds: Vec<Hold>| {
            let entries = holds.into_iter().enumerate().map(|(number, hold)| PlanEntry {
                subject: slot(&format!("s{number}")),
                node: None,
                verdict: Verdict::Hold(hold),
            });
            ending(&Plan {
                stack: StackName::new("hello").unwrap(),
                revision: "r1".into(),
                generation: 1,
                entries: entries.collect(),
                standing: keel_plan::standing::Standing::default(),
                learned: vec![],
                wake: None,
            })
            .0
        };
        assert_eq!(outcome(vec![Hold::Converged]), Outcome::Done);
        assert_eq!(outcome(vec![Hold::Converged, late()]), Outcome::Unhealthy);
        assert_eq!(outcome(vec![late(), failed()]), Outcome::Failed);
    }

    #[test]
    fn a_hold_is_told_in_peoples_words() {
        let slot = Slot {
            stack: StackName::new("hello").unwrap(),
            service: "web".into(),
            slot: "1".into(),
        };
        let network = || Hold::NotFound { subject: Subject::Network("lan".into()) };
        let failed = Hold::Failed { cause: unhealthy() };
        let cases = [
            (Subject::Slot(slot.clone()), failed, "web.1 not healthy after 5 s"),
            (
                Subject::Slot(slot),
                network(),
                "web.1: network lan does not exist: `keel network create lan` creates it",
            ),
            (
                Subject::Network("lan".into()),
                network(),
                "network lan does not exist: `keel network create lan` creates it",
            ),
        ];
        for (subject, hold, expected) in cases {
            assert_eq!(
                line(&PlanEntry { subject, node: None, verdict: Verdict::Hold(hold) }),
                expected
            );
        }
    }
}
