//! What keeps a service from being touched at all: nobody asked for it, it is not run yet, or Docker runs it.

use crate::facts::{Facts, Want};
use crate::memory::asked_for;
use crate::verdict::Hold;
use crate::why::{KeptBecause, NotRunBecause};
use keel_engine::{ForeignContainer, MountSource, NetworkMode};

/// Whether it runs in the namespace of what was asked for: it goes where that goes.
fn is_drawn_along(facts: &Facts<'_>, want: &Want<'_>) -> bool {
    let NetworkMode::Service(host) = &want.spec.network_mode else { return false };
    let own = facts.slots_of(want.name);
    // Also while it is stopped for its successor.
    let ran = own.flat_map(|(_, all)| all.all()).any(|task| task.started.is_some());
    ran && asked_for(facts.inputs, host)
}

pub(crate) fn not_asked() -> Hold {
    Hold::Kept { because: KeptBecause::NotAsked }
}

/// What keeps a service from being touched at all.
pub(crate) fn not_here(facts: &Facts<'_>, want: &Want<'_>) -> Option<Hold> {
    if !asked_for(facts.inputs, want.name) && !is_drawn_along(facts, want) {
        return Some(not_asked());
    }
    if let Some(held) = want.service.held.first() {
        let because = NotRunBecause::Unsupported(held.why.clone());
        let (field, at) = (held.field.clone(), held.at.clone());
        return Some(Hold::NotRunYet { field, because, at });
    }
    let mut foreign = facts.look.foreign.iter();
    let (_, container) = foreign.find(|(node, container)| {
        let same =
            container.project == facts.inputs.stack.as_str() && container.service == want.name;
        same || (**node == *want.node && writes_there(container, want))
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
