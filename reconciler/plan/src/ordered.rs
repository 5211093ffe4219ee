//! Slots and tasks in order, also thousands of them: the first characters of a name mostly decide, and are compared as
//! one number.

use keel_engine::{Slot, TaskId};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The first characters of a name: where two of these differ, the names are in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Start(u128);

impl Start {
    fn of(name: &str) -> Self {
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self(u128::from_be_bytes(first))
    }
}

/// What belongs to slots of one stack, by slot; of several for one the last.
pub(crate) fn by_slot<T>(all: Vec<(Slot, T)>) -> BTreeMap<Slot, T> {
    let keyed = all.into_iter().map(|(slot, of)| (Start::of(&slot.slot), slot, of));
    let mut keyed: Vec<_> = keyed.collect();
    keyed.sort_by(|(start, slot, _), (other_start, other, _)| {
        let service = slot.service.cmp(&other.service);
        service.then_with(|| start.cmp(other_start)).then_with(|| slot.cmp(other))
    });
    keyed.into_iter().map(|(_, slot, of)| (slot, of)).collect()
}

/// A task's id, to be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id<'a> {
    start: Start,
    id: &'a TaskId,
}

impl<'a> From<&'a TaskId> for Id<'a> {
    fn from(id: &'a TaskId) -> Self {
        Self { start: Start::of(id.as_str()), id }
    }
}

impl Ord for Id<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.start.cmp(&other.start).then_with(|| self.id.cmp(other.id))
    }
}

impl PartialOrd for Id<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::StackName;

    #[test]
    fn slots_are_in_their_own_order() {
        let long = "a-name-of-more-than-sixteen-characters";
        let names = ["", "1", "10", "2", "é", long, &format!("{long}-2"), &format!("{long}-10")];
        let slot = |service: &str, slot: &str| Slot {
            stack: StackName::new("shop").unwrap(),
            service: service.to_owned(),
            slot: slot.to_owned(),
        };
        let slots = names.iter().flat_map(|service| names.map(|name| slot(service, name)));
        let all: Vec<_> = slots.rev().map(|slot| (slot.clone(), slot)).collect();
        let plain: BTreeMap<_, _> = all.iter().cloned().collect();
        assert_eq!(by_slot(all), plain);
    }

    #[test]
    fn ids_are_in_their_own_order() {
        let ids: Vec<_> = (0..50).map(|seed| TaskId::from_seed(&format!("{seed}"))).collect();
        let mut sorted: Vec<_> = ids.iter().map(Id::from).collect();
        let mut plain: Vec<_> = ids.iter().collect();
        sorted.sort();
        plain.sort();
        assert_eq!(sorted.into_iter().map(|id| id.id).collect::<Vec<_>>(), plain);
    }
}
