//! Of which stacks this process changed records, and in which order.

use keel_engine::StackName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Each stack with the number of the last change.
#[derive(Clone, Default)]
pub(super) struct Touched(Arc<Mutex<State>>);

/// What the keys of stacks' records begin with.
pub(super) const STACKS: &str = "stacks/";

#[derive(Default)]
struct State {
    count: u64,
    last: BTreeMap<StackName, u64>,
}

impl Touched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of this key was changed.
    pub(super) fn note(&self, key: &str) {
        let name = key.strip_prefix(STACKS).and_then(|rest| rest.split('/').next());
        let Some(stack) = name.and_then(|name| StackName::new(name).ok()) else { return };
        let mut state = self.state();
        state.count += 1;
        let count = state.count;
        state.last.insert(stack, count);
    }

    /// Those that were changed after so many changes, and how many there were by now.
    pub(super) fn since(&self, count: u64) -> (u64, BTreeSet<StackName>) {
        let state = self.state();
        let later = state.last.iter().filter(|(_, at)| **at > count);
        (state.count, later.map(|(stack, _)| stack.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_to_whoever_counts() {
        let touched = Touched::default();
        touched.note("stacks/a/desired");
        touched.note("sources/home");
        touched.note("stacks/b/standing");
        let names = |stacks: BTreeSet<StackName>| {
            stacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let (first, stacks) = touched.since(0);
        assert_eq!(names(stacks), "a b");
        touched.note("stacks/a/operation");
        let (second, stacks) = touched.since(first);
        assert_eq!(names(stacks), "a");
        assert_eq!(names(touched.since(second).1), "");
    }
}
