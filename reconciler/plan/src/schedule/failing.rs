//! Slots whose task fails again and again on its node: they leave it, if that may help.
//!
//! # Invariants
//! - What is bound to its node stays there, and what has no other node to go to.
//! - A slot that left for this stays where it is for a while, whatever becomes of it there.

use super::needs::Needs;
use crate::condition::exits;
use crate::occupants::{in_reach, short, slotted};
use crate::placing::Site;
use crate::standing::Standing;
use crate::why::Refusal;
use keel_engine::{ObservedTask, Slot};

/// So many failures on a node within [`LATELY`] send the next task elsewhere, if there is a choice.
const FAILURES: u32 = 5;
const LATELY: u64 = 5 * 60_000;

/// A slot that left a node for this is not moved for it again before this time is over.
const STAYS: u64 = 10 * 60_000;

/// How often a task of this specification failed lately, if that is too often.
pub(super) fn failures(
    site: &Site<'_, '_>,
    needs: &Needs<'_>,
    slot: &Slot,
    task: &ObservedTask,
) -> Option<u32> {
    let last = task.finished.or(task.started).unwrap_or(task.created);
    let lately = site.inputs.now < last.saturating_add(LATELY);
    let many = Some(exits(task)).filter(|exits| lately && *exits >= FAILURES)?;
    in_reach(&task.spec, &slotted(needs.service, slot)).then_some(many)
}

/// Why a slot leaves its node for this. One that is on its way already goes on.
pub(super) fn leaves(
    site: &Site<'_, '_>,
    needs: &Needs<'_>,
    slot: &Slot,
    (at, task): (usize, &ObservedTask),
    chosen: impl Fn() -> Option<usize>,
) -> Option<Refusal> {
    if !has_left(site.standing, slot, site.inputs.now) {
        let times = failures(site, needs, slot, task)?;
        let others = needs.eligible.iter().any(|other| *other != at);
        return others.then_some(Refusal::Failing { times });
    }
    let goes_on = chosen().is_some_and(|chosen| chosen != at && needs.never[chosen].is_empty());
    // What never failed is not what fled: the revision that did has been given up, say.
    (goes_on && exits(task) > 0).then_some(Refusal::Failing { times: exits(task).max(FAILURES) })
}

/// Whether a slot left a node for this a short while ago.
fn has_left(standing: &Standing, slot: &Slot, now: u64) -> bool {
    !standing.fled.is_empty()
        && standing.fled.get(&short(slot)).is_some_and(|at| now < at.saturating_add(STAYS))
}

/// Marks that mean nothing any more.
pub(crate) fn is_over(at: u64, now: u64) -> bool {
    now >= at.saturating_add(STAYS)
}
