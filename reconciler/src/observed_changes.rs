//! Which stacks what nodes report now is another thing for than before. Pure.
//!
//! # Invariants
//! - What did not change is the very same value, so that two reports are compared in no time; where it came
//!   over a wire, values are compared.

use keel_engine::labels::PROJECT;
use keel_engine::{
    NodeReport, Nodes, Observation, ObservedImage, ObservedNetwork, ObservedTask, ObservedVolume,
    StackName,
};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ObservedChanges {
    /// Of these stacks.
    pub stacks: BTreeSet<StackName>,
    /// Images by reference: whoever uses them may be concerned.
    pub images: BTreeSet<String>,
}

/// What is another in the second than in the first; `None`: anything may be.
pub(crate) fn changes(before: &Nodes, now: &Nodes) -> Option<ObservedChanges> {
    if before.home != now.home || !before.reports.keys().eq(now.reports.keys()) {
        return None;
    }
    let mut all = ObservedChanges::default();
    for (before, now) in before.reports.values().zip(now.reports.values()) {
        match (before, now) {
            (NodeReport::Known(before), NodeReport::Known(now)) => all.add(before, now)?,
            // What it said last is what it said before.
            (
                NodeReport::Unknown { since, is_down, .. },
                NodeReport::Unknown { since: same, is_down: still, .. },
            ) if since == same && is_down == still => {}
            _ => return None,
        }
    }
    Some(all)
}

impl ObservedChanges {
    fn add(&mut self, before: &Observation, now: &Observation) -> Option<()> {
        if before.host != now.host || before.foreign != now.foreign {
            return None;
        }
        let stack = |task: &ObservedTask| task.place.slot().map(|slot| slot.stack.clone());
        let tasks = differing(&before.tasks, &now.tasks, |a, b| a.id.cmp(&b.id), is_equal);
        self.stacks.extend(tasks.into_iter().filter_map(stack));
        let name = |a: &ObservedNetwork, b: &ObservedNetwork| a.spec.name.cmp(&b.spec.name);
        let networks = differing(&before.networks, &now.networks, name, is_equal);
        self.stacks.extend(networks.into_iter().filter_map(|one| owner(&one.spec.labels)));
        let name = |a: &ObservedVolume, b: &ObservedVolume| a.spec.name.cmp(&b.spec.name);
        let volumes = differing(&before.volumes, &now.volumes, name, is_equal);
        self.stacks.extend(volumes.into_iter().filter_map(|one| owner(&one.spec.labels)));
        let name = |a: &ObservedImage, b: &ObservedImage| a.reference.cmp(&b.reference);
        let images = differing(&before.images, &now.images, name, is_same_image);
        self.images.extend(images.into_iter().map(|image| image.reference.clone()));
        Some(())
    }
}

fn owner(labels: &BTreeMap<String, String>) -> Option<StackName> {
    StackName::new(labels.get(PROJECT)?.as_str()).ok()
}

fn is_equal<T: PartialEq>(one: &T, other: &T) -> bool {
    one == other
}

/// How far a pull has come says nothing of a stack.
fn is_same_image(one: &ObservedImage, other: &ObservedImage) -> bool {
    let still = |image: &ObservedImage| ObservedImage { pulling: None, ..image.clone() };
    still(one) == still(other)
}

/// Of two ordered lists, what is in one only, and what is in both and differs: as it was and as it is.
fn differing<'a, T>(
    before: &'a [Arc<T>],
    now: &'a [Arc<T>],
    order: impl Fn(&T, &T) -> Ordering,
    is_same: impl Fn(&T, &T) -> bool,
) -> Vec<&'a T> {
    let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (before.peek(), now.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => order(one, other),
        };
        let was = before.next_if(|_| order != Ordering::Greater);
        let is = now.next_if(|_| order != Ordering::Less);
        if let (Some(was), Some(is)) = (was, is)
            && (Arc::ptr_eq(was, is) || is_same(was, is))
        {
            continue;
        }
        found.extend(was.into_iter().chain(is).map(|one| &**one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::{observation, task};
    use keel_engine::Phase;

    fn stacks(before: &Nodes, now: &Nodes) -> Option<String> {
        let names = |changes: ObservedChanges| {
            changes.stacks.iter().map(StackName::as_str).collect::<Vec<_>>().join(" ")
        };
        changes(before, now).map(names)
    }

    #[test]
    fn only_stacks_whose_things_changed_are_named() {
        let one = |stack: &str, seed, phase| {
            let mut one = task("web", "1", seed, 0);
            if let keel_engine::Place::Slot(slot) = &mut one.place {
                slot.stack = StackName::new(stack).unwrap();
            }
            one.phase = phase;
            one
        };
        let (runs, ended) = (Phase::Running, Phase::Exited);
        let before = observation([one("blog", 'a', runs.clone()), one("shop", 'b', runs.clone())]);
        assert_eq!(stacks(&before, &before.clone()).as_deref(), Some(""));
        let same = observation([one("blog", 'a', runs.clone()), one("shop", 'b', runs.clone())]);
        assert_eq!(stacks(&before, &same).as_deref(), Some(""), "values count, too");
        let changed = observation([one("blog", 'a', runs.clone()), one("shop", 'b', ended)]);
        assert_eq!(stacks(&before, &changed).as_deref(), Some("shop"));
        let gone = observation([one("shop", 'b', runs.clone())]);
        assert_eq!(stacks(&before, &gone).as_deref(), Some("blog"));
        assert_eq!(stacks(&gone, &before).as_deref(), Some("blog"));
        let mut silent = before.clone();
        for report in silent.reports.values_mut() {
            *report =
                NodeReport::Unknown { since: 1, why: String::new(), last: None, is_down: false };
        }
        assert_eq!(stacks(&before, &silent), None);
        assert_eq!(stacks(&silent, &silent.clone()).as_deref(), Some(""));
    }

    #[test]
    fn how_far_a_pull_has_come_is_no_change() {
        let pulling = |done: u64, digest| {
            let image = ObservedImage {
                reference: "app:1".into(),
                pulling: Some((done, 10)),
                digest,
                ..ObservedImage::default()
            };
            Nodes::from(Observation { images: vec![image.into()], ..Observation::default() })
        };
        let images = |now: &Nodes| changes(&pulling(1, None), now).unwrap().images.len();
        assert_eq!(images(&pulling(5, None)), 0);
        assert_eq!(images(&pulling(10, Some(keel_engine::Digest::of(b"app")))), 1);
    }
}
