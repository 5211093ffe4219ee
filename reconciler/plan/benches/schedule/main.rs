//! How long it takes to plan 10,000 tasks on 100 nodes: `cargo bench -p keel-plan --bench schedule`. As one big stack
//! and as many small ones, of which each is planned alone: before anything exists, once all of them run, after a node
//! was lost, and for a new revision of every service.
//!
//! Times are the processor's, since a machine has other things to do. The digest behind each is that of its plans: it
//! stays the same for as long as the planner decides the same.

mod pool;
mod stacks;

use keel_engine::Digest;
use keel_plan::verdict::Plan;
use keel_plan::{Inputs, invariants};
use stacks::Shape;
use std::time::Duration;

/// How often each case is measured: the shortest time counts.
const ROUNDS: usize = 5;

const SHAPES: [Shape; 2] = [
    Shape { stacks: 1, services: 20, replicas: 500 },
    Shape { stacks: 100, services: 5, replicas: 20 },
];

fn main() {
    for shape in SHAPES {
        println!("{shape}, on {} nodes", pool::NODES);
        let (stacks, nodes) = stacks::placed(&shape);
        let all: Vec<_> = stacks.iter().map(|stack| stack.new.inputs(&stack.found)).collect();
        measure("all new", &all);
        let all: Vec<_> = stacks.iter().map(|stack| stack.settled.inputs(&nodes)).collect();
        measure("nothing to do", &all);
        let lost = pool::without_one(&nodes);
        let all: Vec<_> = stacks.iter().map(|stack| stack.settled.inputs(&lost)).collect();
        measure("a node lost", &all);
        let all: Vec<_> = stacks.iter().map(|stack| stack.next.inputs(&nodes)).collect();
        measure("a new revision", &all);
    }
}

fn measure(case: &str, all: &[Inputs<'_>]) {
    if !is_asked_for(case) {
        return;
    }
    let plans: Vec<Plan> = all.iter().map(keel_plan::plan).collect();
    let text: String = plans.iter().map(|plan| format!("{plan:?}")).collect();
    let wishes: usize = plans.iter().map(|plan| plan.wishes().count()).sum();
    let made = best(|| all.iter().map(keel_plan::plan).collect::<Vec<_>>());
    let checked = best(|| {
        let broken = all.iter().zip(&plans).map(|(inputs, plan)| invariants::broken(inputs, plan));
        assert!(broken.flatten().next().is_none(), "{case}");
    });
    let digest = Digest::of(text.as_bytes()).short();
    println!("  {case}: {made:.1?}, its check {checked:.1?}; {wishes} wishes, {digest}");
}

/// Whether its name has what the first argument says: `cargo bench … -- lost`.
fn is_asked_for(case: &str) -> bool {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    only.is_none_or(|only| case.contains(&only))
}

fn best<T>(work: impl Fn() -> T) -> Duration {
    let timed = |_| {
        let begun = processor_time();
        let done = work();
        let took = processor_time() - begun;
        drop(done);
        took
    };
    (0..ROUNDS).map(timed).min().unwrap_or_default()
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    // The kernel adds up at each switch of tasks, so that one is asked for.
    std::thread::yield_now();
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let first = times.split(' ').next().and_then(|time| time.parse().ok());
    Duration::from_nanos(first.expect("nanoseconds"))
}
