//! What a plan comes to, for the record and for whoever waits: pure.

use crate::ask::Outcome;
use crate::record::{Operation, OperationState};
use crate::refusal::with_causes;
use keel_engine::{EngineError, Observation};
use keel_plan::text;
use keel_plan::verdict::{Entry, Hold, Learned, Plan, Verdict};

/// How a pass ended, for the status and the history.
pub(crate) fn operation_of(plan: &Plan, refused: Option<&EngineError>, at: u64) -> Operation {
    let (state, reason) = state_of(plan, refused);
    Operation { revision: plan.revision.clone(), state, reason, at }
}

fn state_of(plan: &Plan, refused: Option<&EngineError>) -> (OperationState, String) {
    let failed = plan.learned.iter().find_map(|learned| match learned {
        Learned::Failed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = failed {
        return (OperationState::Failed, reason);
    }
    if let Some(error) = refused {
        return (OperationState::Failed, with_causes(error));
    }
    let worst = plan.entries.iter().max_by_key(|entry| weight(&entry.verdict));
    match worst.map(|entry| (state_of_verdict(&entry.verdict), text::row(entry).text)) {
        None | Some((OperationState::Succeeded, _)) => {
            let words = if plan.is_gone() { "removed" } else { "everything is as desired" };
            (OperationState::Succeeded, words.to_owned())
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
            Hold::Failed { .. } | Hold::KnownBad { .. } | Hold::NotFound { .. } => {
                OperationState::Failed
            }
            Hold::Suspended { .. }
            | Hold::OwnedBy { .. }
            | Hold::NotRunYet { .. }
            | Hold::RunsInDocker { .. } => OperationState::Held,
            _ => OperationState::Succeeded,
        },
    }
}

/// What a command that converged ends with: what failed or is held, one line each.
pub(crate) fn ending(plan: &Plan) -> (Outcome, Vec<String>) {
    let bad = |entry: &&Entry| {
        matches!(state_of_verdict(&entry.verdict), OperationState::Failed | OperationState::Held)
    };
    let notes: Vec<_> = plan.entries.iter().filter(bad).map(line).collect();
    (if notes.is_empty() { Outcome::Done } else { Outcome::Failed }, notes)
}

/// What is still awaited, one line each.
pub(crate) fn awaited(plan: &Plan) -> Vec<String> {
    let open = |entry: &&Entry| state_of_verdict(&entry.verdict) == OperationState::Running;
    plan.entries.iter().filter(open).map(line).collect()
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
pub(crate) fn only_missing_images_are_open(plan: &Plan, seen: &Observation) -> bool {
    let refused = |reference: &str| {
        seen.images.iter().any(|image| {
            image.reference == reference
                && image.failure.is_some()
                && !image.transient
                && image.pulling.is_none()
        })
    };
    let waits = |entry: &Entry| match &entry.verdict {
        Verdict::Act { .. } => false,
        Verdict::Hold(Hold::AwaitingImage { image, .. }) => refused(image),
        Verdict::Hold(Hold::AwaitingDependency { .. } | Hold::RolloutFull { .. }) => true,
        Verdict::Hold(hold) => hold.is_final(),
    };
    !plan.is_settled() && plan.entries.iter().all(waits)
}

fn line(entry: &Entry) -> String {
    let row = text::row(entry);
    match row.slot.or(row.resource) {
        Some(subject) if !row.text.starts_with(&subject) => format!("{subject} {}", row.text),
        _ => row.text,
    }
}
