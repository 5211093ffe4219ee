//! What ran before goes on for as long as its successor waits: also where it had been stopped for
//! one that a newer revision overtook, or was ended by somebody else meanwhile.

use crate::condition::{again, is_still};
use crate::draft::{Draft, Judgment, act};
use crate::facts::{Facts, Occupants, slotted};
use crate::verdict::{Action, Reason};
use crate::wish;
use keel_engine::{ExitCause, Goal, ObservedTask, Slot, cost_of, diff, fields::Cost};

/// Starts the best of a slot's ended tasks, if none runs and one should.
pub(super) fn keep_up(
    facts: &Facts<'_>,
    draft: &mut Draft,
    slot: &Slot,
    occupants: &Occupants<'_>,
) -> Option<Judgment> {
    let want = occupants.want.as_ref().filter(|want| !facts.is_job(want.service))?;
    let good = facts.standing.good_desired.as_deref();
    let good = good.and_then(|good| good.services.get(want.name));
    let good = good.map(|service| slotted(service, slot));
    let is_good = |task: &ObservedTask| {
        good.as_ref().is_some_and(|good| cost_of(&diff(&task.spec, good)) != Some(Cost::Replace))
    };
    let begun = |task: &&ObservedTask| task.started.is_some() && task.goal != Goal::Removed;
    let begun: Vec<_> = occupants.all().filter(begun).collect();
    // Of what there may be but one, what goes has to be gone.
    let is_sole = want.service.placement.exclusive || facts.has_own_data(&want.spec);
    let mut ran = occupants.all().filter(|task| task.started.is_some());
    let goes_on = is_sole && ran.any(|task| !is_still(task));
    if goes_on || !begun.iter().all(|task| is_still(task)) {
        return None;
    }
    let ended = begun.into_iter().filter(|task| was_ended(task));
    let best = ended.max_by_key(|task| (is_good(task), task.created))?;
    let from = if best.goal == Goal::Stopped { 0 } else { again(best) };
    if facts.now() < from {
        draft.wake(from);
        return None;
    }
    let wish = wish::again(best, Goal::Running, draft.generation);
    Some(act(Action::Start, Reason::SuccessorWaits, vec![wish]))
}

/// Not by itself: it was told to, or somebody or something else did it.
fn was_ended(task: &ObservedTask) -> bool {
    let by_others = [
        ExitCause::Stopped,
        ExitCause::KilledFromOutside,
        ExitCause::Interrupted,
        ExitCause::Unknown,
    ];
    task.goal == Goal::Stopped || task.exit_cause.is_some_and(|cause| by_others.contains(&cause))
}
