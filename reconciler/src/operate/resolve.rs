//! What a person means by a target: a container's name, an id's prefix, `STACK/SERVICE[.SLOT]`.

use crate::ask::Refusal;
use crate::controller::Controller;
use keel_engine::{Depth, Goal, NodeName, Nodes, ObservedTask, Place, Slot, TaskId};
use std::collections::BTreeMap;

impl Controller {
    /// The tasks that a target means: at least one, newest first within a slot. Stopped ones too.
    pub async fn resolve_target(&self, target: &str) -> Result<Vec<ObservedTask>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        Ok(resolve(&seen, target)?.into_iter().cloned().collect())
    }
}

/// Names win over ids, as with docker.
pub(crate) fn resolve<'a>(seen: &'a Nodes, target: &str) -> Result<Vec<&'a ObservedTask>, Refusal> {
    let names = listed_names(seen);
    let mut found: Vec<_> = match target.split_once('/') {
        Some((stack, rest)) => seen.all_tasks().filter(|t| in_slot(t, stack, rest)).collect(),
        None => seen.all_tasks().filter(|task| names[&task.id] == target).collect(),
    };
    if found.is_empty() && is_prefix(target) {
        found = seen.all_tasks().filter(|t| t.id.as_str().starts_with(target)).collect();
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|task| task.id.short()).collect();
            let words = format!("`{target}` begins several ids: {}", ids.join(", "));
            return Err(Refusal::invalid(words));
        }
    }
    if found.is_empty() {
        return Err(Refusal::not_found(format!("no such container: {target}"))
            .hint("`keel ps -a` lists containers; STACK/SERVICE names all of a service"));
    }
    found.sort_by_key(|task| std::cmp::Reverse((task.goal != Goal::Ready, task.created)));
    Ok(found)
}

/// Refuses what is on a node that does not answer: nothing could be done there now.
pub(crate) fn reachable(seen: &Nodes, node: &NodeName, what: &str) -> Result<(), Refusal> {
    match seen.silent(node) {
        None => Ok(()),
        Some(silent) => Err(Refusal::conflict(format!(
            "{what} is on node {node}, which does not answer: {}",
            silent.why
        ))
        .hint("try again once it does")),
    }
}

fn is_prefix(target: &str) -> bool {
    !target.is_empty() && target.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn in_slot(task: &ObservedTask, stack: &str, rest: &str) -> bool {
    let Place::Slot(slot) = &task.place else { return false };
    let whole = format!("{}.{}", slot.service, slot.slot);
    slot.stack.as_str() == stack && (slot.service == rest || whole == rest)
}

/// The task that fills each slot: the newest that is to stay. One that is only made ready to take
/// over does not fill it yet.
pub(crate) fn newest(seen: &Nodes) -> BTreeMap<&Slot, &ObservedTask> {
    let mut newest: BTreeMap<&Slot, (&NodeName, &ObservedTask)> = BTreeMap::new();
    for (node, task) in seen.placed_tasks() {
        let Some(slot) = task.place.slot() else { continue };
        let rank = |(node, task): (&NodeName, &ObservedTask)| {
            let stays = (task.goal != Goal::Removed, task.goal != Goal::Ready);
            // What answers before what was replaced because it does not.
            (stays, seen.silent(node).is_none(), task.created, task.id.clone())
        };
        let best = newest.entry(slot).or_insert((node, task));
        if rank((node, task)) > rank(*best) {
            *best = (node, task);
        }
    }
    newest.into_iter().map(|(slot, (_, task))| (slot, task)).collect()
}

/// The name of each task as it is listed: while two live in a slot, the newest one's is the plain
/// one, and the others are `NAME~ID4`.
pub(crate) fn listed_names(seen: &Nodes) -> BTreeMap<TaskId, String> {
    let newest = newest(seen);
    let name = |task: &ObservedTask| match task.place.slot().map(|slot| newest[slot]) {
        Some(best) if best.id != task.id => {
            format!("{}~{}", task.spec.container_name, &task.id.as_str()[..4])
        }
        _ => task.spec.container_name.clone(),
    };
    seen.all_tasks().map(|task| (task.id.clone(), name(task))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::{observation, task};

    #[test]
    fn a_target_is_a_name_a_prefix_or_a_slot() {
        let mut old = task("web", "1", 'b', 10);
        old.goal = Goal::Removed;
        let mut next = task("web", "1", 'd', 30);
        next.goal = Goal::Ready;
        let seen = observation([task("web", "1", 'a', 20), old, next, task("web", "2", 'c', 5)]);
        let ids = |target: &str| match resolve(&seen, target) {
            Ok(tasks) => tasks.iter().map(|task| task.id.as_str()[..1].to_owned()).collect(),
            Err(refusal) => refusal.message,
        };
        let cases = [
            ("hello-web-1", "a"),
            ("hello-web-1~bbbb", "b"),
            ("hello-web-1~dddd", "d"),
            ("hello-web-2", "c"),
            ("cc", "c"),
            ("hello/web", "abcd"),
            ("hello/web.2", "c"),
            ("hello/db", "no such container: hello/db"),
            ("web", "no such container: web"),
        ];
        for (target, expected) in cases {
            assert_eq!(ids(target), expected, "{target}");
        }
    }
}
