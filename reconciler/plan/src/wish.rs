//! Assignments, made from what is wanted or from what was applied.

use crate::facts::{Facts, Want};
use keel_engine::{
    Assignment, Goal, NetworkMode, ObservedTask, Opaque, Place, Slot, TaskAssignment, TaskId,
};
use std::net::IpAddr;

/// A new task for a slot, after the one before it.
pub(crate) fn new_task(
    facts: &Facts<'_>,
    slot: &Slot,
    want: &Want<'_>,
    replaces: Option<&ObservedTask>,
    generation: u64,
    goal: Goal,
) -> Assignment {
    let joins = match &want.spec.network_mode {
        NetworkMode::Service(host) => facts.host(host).map(|task| task.id.clone()),
        _ => None,
    };
    Assignment::Task(Box::new(TaskAssignment {
        id: TaskId::from_seed(&format!("{slot} {generation} {}", want.service.hash)),
        place: Place::Slot(slot.clone()),
        generation,
        digest: facts.digest(&want.spec.image).cloned(),
        spec: want.spec.clone(),
        joins,
        replaces: replaces.map(|task| task.id.clone()),
        revision: want.revision.to_owned(),
        origins: Opaque::clone(&want.origins),
        avoids: fixed_by_others(facts, slot, want),
        goal,
        auto_remove: false,
        remove_volumes: false,
        force: false,
        anew: false,
        grace: None,
    }))
}

/// Addresses that the stack's other services fix in the networks that this one is in: they may come
/// after it.
fn fixed_by_others(facts: &Facts<'_>, slot: &Slot, want: &Want<'_>) -> Vec<(String, IpAddr)> {
    let is_in = |network: &str| want.spec.networks.iter().any(|one| one.network == network);
    let others = facts.places.fixed.iter().filter(|(name, _)| *name != slot.service);
    let fixed = others.filter(|(_, one)| is_in(&one.network)).flat_map(|(_, one)| {
        let address = |address: &IpAddr| (one.network.clone(), *address);
        one.addresses.iter().map(address)
    });
    fixed.collect()
}

/// The same task with what was applied: healed, started, stopped, removed.
pub(crate) fn again(task: &ObservedTask, goal: Goal, generation: u64) -> Assignment {
    Assignment::Task(Box::new(TaskAssignment::again(task, goal, generation)))
}

/// The same task with what can be changed in place.
pub(crate) fn update(task: &ObservedTask, want: &Want<'_>, generation: u64) -> Assignment {
    let mut wish = TaskAssignment::again(task, task.goal, generation);
    wish.spec = want.spec.clone();
    wish.revision = want.revision.to_owned();
    wish.origins = Opaque::clone(&want.origins);
    Assignment::Task(Box::new(wish))
}

/// Away with it; its anonymous volumes only with a person's word.
pub(crate) fn remove(task: &ObservedTask, volumes: bool, generation: u64) -> Assignment {
    let mut wish = TaskAssignment::again(task, Goal::Removed, generation);
    wish.remove_volumes = volumes;
    Assignment::Task(Box::new(wish))
}
