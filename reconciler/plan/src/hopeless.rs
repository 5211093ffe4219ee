//! Slots that no node there is can run, were it empty: that is the revision's fault, and not for want of nodes.
//!
//! # Invariants
//! - A node that does not answer may be what is asked for: while there is one, nothing is concluded.
//! - What was good before fails no revision that left it as it was.

use crate::facts::{Facts, Want};
use crate::verdict::Hold;
use crate::why::FailureCause;
use keel_engine::Slot;

/// So long a rollout waits for somebody to add or label a node.
const PATIENCE: u64 = 10 * 60_000;

/// When a revision that cannot be placed fails for that.
pub(crate) fn deadline(facts: &Facts<'_>) -> Option<u64> {
    end(facts).filter(|_| first(facts).is_some())
}

fn end(facts: &Facts<'_>) -> Option<u64> {
    let since = facts.standing.rollout.filter(|_| facts.bad.is_none())?;
    Some(since.saturating_add(PATIENCE))
}

/// What fails the revision, once that time is over.
pub(crate) fn failure(facts: &Facts<'_>) -> Option<(Slot, FailureCause)> {
    end(facts).filter(|end| facts.now() >= *end)?;
    let (slot, want) = first(facts)?;
    match want.spot.hold()? {
        Hold::NoPlace { nodes } => Some((slot.clone(), FailureCause::FitsNoNode { nodes })),
        _ => None,
    }
}

fn first<'f, 'a>(facts: &'f Facts<'a>) -> Option<(&'f Slot, &'f Want<'a>)> {
    let wants = facts.slots.iter().filter_map(|(slot, all)| Some((slot, all.want.as_ref()?)));
    let mut hopeless =
        wants.filter(|(_, want)| want.spot.is_hopeless && want.service.held.is_empty());
    hopeless.find(|(_, want)| is_changed(facts, want))
}

/// Whether the revision asks for something else of nodes than what was good last.
fn is_changed(facts: &Facts<'_>, want: &Want<'_>) -> bool {
    let good = facts.standing.good_desired.as_deref();
    let before = good.and_then(|good| good.services.get(want.name));
    before.is_none_or(|before| {
        let reserves = |spec: &keel_engine::TaskSpec| (spec.reserved_cpus, spec.reserved_memory);
        before.placement != want.service.placement
            || reserves(&before.spec) != reserves(&want.service.spec)
    })
}
