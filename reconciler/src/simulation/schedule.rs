//! Makes a schedule of one number, and plays it.

use super::dice::Dice;
use super::shop::Wish;
use super::story::Played;
use super::world::World;
use std::collections::BTreeSet;

/// Steps in which something may happen.
const STEPS: u64 = 18;

/// Plays the schedule of this number, but for what happens in some of its steps.
pub(super) fn play(seed: u64, without: &BTreeSet<u64>, is_told: bool) -> Played {
    played(async {
        let dice = Dice::new(seed);
        let names = ["a", "b", "c", "d"];
        let count = *dice.pick(&[1, 2, 3, 3, 4, 4, 4]);
        let mut world = World::new(&names[..count], first(&dice), seed, is_told).await;
        world.settle().await;
        for step in 0..STEPS {
            if world.story.is_broken() {
                break;
            }
            let dice = Dice::new(seed.wrapping_mul(1_000).wrapping_add(step));
            if dice.percent(70) && !without.contains(&step) {
                world.story.tell("step", &step.to_string());
                world.something_happens(&dice).await;
            }
            world.step(pause(&dice)).await;
        }
        if !world.story.is_broken() {
            world.quiet().await;
        }
        world.is_well().await;
        world.story.end()
    })
}

/// Plays in virtual time.
pub(super) fn played<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(work)
}

/// Mostly short; some are long enough for a node to be given up.
fn pause(dice: &Dice) -> u64 {
    match dice.below(10) {
        0 => dice.between(10_000, 70_000),
        1..=3 => dice.between(1_000, 8_000),
        _ => dice.between(50, 1_000),
    }
}

fn first(dice: &Dice) -> Wish {
    Wish {
        web: "web:1",
        replicas: u32::try_from(dice.between(1, 5)).unwrap(),
        is_checked: dice.percent(50),
        needs_disk: dice.percent(30),
        db: dice.percent(50).then_some(1),
        leader: dice.percent(50).then_some(1),
        agent: dice.percent(40).then_some(1),
        has_job: dice.percent(25),
        parallelism: *dice.pick(&[1, 1, 2]),
    }
}

/// As few steps as break the same promise, and what they break.
pub(super) fn shrunk(seed: u64, kind: &str) -> (BTreeSet<u64>, Played) {
    let mut without = BTreeSet::new();
    for step in (0..STEPS).rev() {
        without.insert(step);
        if play(seed, &without, false).kind() != Some(kind) {
            without.remove(&step);
        }
    }
    let played = play(seed, &without, true);
    (without, played)
}
