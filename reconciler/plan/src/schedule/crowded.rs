//! Nodes that have less than their tasks reserve: what leaves them.
//!
//! # Invariants
//! - Every stack's plan finds the same tasks, so that no two of them leave for one lack.

use super::cluster::{Cluster, Host, Reserved};
use crate::condition::is_still;
use crate::pool::Room;
use crate::why::Refusal;
use keel_engine::{Goal, ObservedTask, TaskId};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The tasks that have to leave, of all stacks: of each node's the biggest, until the rest has room.
pub(crate) fn leaving<'a>(cluster: &Cluster<'a>) -> BTreeMap<&'a TaskId, Refusal> {
    cluster.hosts.iter().flat_map(leaving_host).collect()
}

fn leaving_host<'a>(host: &Host<'a>) -> BTreeMap<&'a TaskId, Refusal> {
    let mut gone = BTreeMap::new();
    let Some(seen) = host.known.filter(|_| is_beyond(host.held, host.room)) else { return gone };
    let staying = |task: &&ObservedTask| !is_still(task) && task.goal == Goal::Running;
    let staying: Vec<_> = seen.all_tasks().filter(staying).collect();
    let mut held =
        staying.iter().fold(Reserved::default(), |all, task| all.plus(Reserved::of(&task.spec)));
    let movable = staying.iter().filter(|task| !is_bound(host, task));
    let mut movable: Vec<_> = movable.map(|task| (Reserved::of(&task.spec), *task)).collect();
    movable.sort_by_key(|(reserved, task)| (Reverse(reserved.memory), task.id.clone()));
    for (reserved, task) in &movable {
        let short = held.beyond(host.room).memory;
        if short > 0 && reserved.memory > 0 {
            held = held.minus(*reserved);
            gone.insert(&task.id, Refusal::Memory { short });
        }
    }
    movable.sort_by_key(|(reserved, task)| (Reverse(reserved.cpus), task.id.clone()));
    for (reserved, task) in &movable {
        let short = held.beyond(host.room).cpus;
        if short > 0 && reserved.cpus > 0 && !gone.contains_key(&task.id) {
            held = held.minus(*reserved);
            gone.insert(&task.id, Refusal::Cpus { short });
        }
    }
    gone
}

fn is_beyond(held: Reserved, room: Room) -> bool {
    held.beyond(room) != Reserved::default()
}

/// What has its data here, or is here because every node has one, leads nowhere by leaving.
fn is_bound(host: &Host<'_>, task: &ObservedTask) -> bool {
    let global = task.place.slot().is_some_and(|slot| slot.slot == host.name.as_str());
    global || task.spec.writes_data()
}
