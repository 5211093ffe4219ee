//! The planner, the passes and the fleet over nodes whose messages are lost, late, repeated and overtaken, whose
//! machines and whose controller crash, and whose people change their minds: thousands of schedules, each made of
//! one number, in virtual time.
//!
//! A failure prints what happened, line by line, with as few events as lead to it, and how to run it alone.
//!
//! # What is real
//! Passes, records, fleet, look-out and planner are those of `keel serve`. Machines, the network and the disk are
//! not; nor are the queue and the events that wake passes: a pass follows each step.

mod accidents;
mod dice;
mod doom;
mod ending;
mod ledger;
mod link;
mod living;
mod machine;
mod reign;
mod rollouts;
mod schedule;
mod shop;
mod situations;
mod story;
mod verdicts;
mod watcher;
mod world;

use schedule::{play, shrunk};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules in a run of the tests, unless `KEEL_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 2_000;

/// One number in the environment.
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Steps in which nothing happens: `KEEL_WITHOUT=3,17`.
fn without() -> BTreeSet<u64> {
    let steps = std::env::var("KEEL_WITHOUT").unwrap_or_default();
    steps.split(',').filter_map(|step| step.parse().ok()).collect()
}

#[test]
fn schedules_of_faults_break_no_promise_and_end_well() {
    if let Some(seed) = given("KEEL_SEED") {
        let played = play(seed, &without(), true);
        println!("{}", played.story());
        assert!(played.broken().is_empty(), "{}", played.broken().join("\n"));
        return;
    }
    let (first, count) = (given("KEEL_FIRST").unwrap_or(0), given("KEEL_SCHEDULES"));
    let all = broken(first, first + count.unwrap_or(SCHEDULES));
    let Some((&seed, kind)) = all.first_key_value() else { return };
    let (without, played) = shrunk(seed, kind);
    let steps: Vec<_> = without.iter().map(u64::to_string).collect();
    let list: Vec<_> = all.iter().map(|(seed, kind)| format!("{seed}: {kind}")).collect();
    panic!(
        "{}\n\nschedule {seed} breaks a promise:\n{}\n\nto run it alone: KEEL_SEED={seed} KEEL_WITHOUT={} \
         cargo test -p keel-reconciler --lib simulation -- --nocapture\n\nall that break one:\n{}",
        played.story(),
        played.broken().join("\n"),
        steps.join(","),
        list.join("\n")
    );
}

/// Those of these numbers whose schedules break something, each with the kind of promise; all cores look.
fn broken(first: u64, end: u64) -> BTreeMap<u64, String> {
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let work = || -> Vec<_> {
            std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
                .take_while(|seed| *seed < end)
                .filter_map(|seed| {
                    let played = play(seed, &BTreeSet::new(), false);
                    played.kind().map(|kind| (seed, kind.to_owned()))
                })
                .collect()
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_number_stands_for_one_schedule() {
    let none = BTreeSet::new();
    let story = |seed| play(seed, &none, true).story();
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}
