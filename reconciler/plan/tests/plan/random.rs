//! Random histories: no plan breaks an invariant, and when the world stops changing everything
//! comes to rest.

use crate::world::{World, stack};
use keel_engine::RestartPolicy;
use keel_plan::desired::{Condition, Order};
use keel_plan::pace::{FailureAction, Pace};
use keel_plan::standing::AskVerb;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Happening {
    Push { service: usize, image: usize },
    Scale { service: usize, replicas: u32 },
    Order { service: usize, order: Option<Order> },
    Pace { service: usize, update: Pace, rollback: Pace },
    Limit { service: usize, mem: Option<u64> },
    Stop { service: usize, slot: u32 },
    Start,
    Restart { service: usize },
    Recreate,
    Lose { service: usize },
    Kill { service: usize },
    Pass { seconds: u64 },
}

const SERVICES: [&str; 4] = ["api", "db", "migrate", "web"];
const JOBS: [&str; 5] = ["job", "job:2", "crash", "job:3", "crash:2"];
const IMAGES: [&str; 5] = ["good:1", "good:2", "crash", "sick", "job"];

fn pace(last: Option<FailureAction>) -> impl Strategy<Value = Pace> {
    let action = prop_oneof![
        Just(None),
        Just(Some(FailureAction::Pause)),
        Just(Some(FailureAction::Continue)),
        Just(last),
    ];
    let ratio = prop_oneof![Just(0), Just(500_000), Just(1_000_000)];
    (0..4u32, 0..2u64, action, ratio).prop_map(|(parallelism, delay, failure_action, ratio)| Pace {
        parallelism,
        delay: delay * 15_000,
        monitor: None,
        max_failure_ratio: ratio,
        failure_action,
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{Kill, Limit, Lose, Order, Pass, Push, Recreate, Restart, Scale, Start, Stop};
    let order = prop_oneof![
        Just(None),
        Just(Some(keel_plan::desired::Order::StartFirst)),
        Just(Some(keel_plan::desired::Order::StopFirst))
    ];
    prop_oneof![
        3 => (0..4usize, 0..5usize).prop_map(|(service, image)| Push { service, image }),
        1 => (0..4usize, 0..4u32).prop_map(|(service, replicas)| Scale { service, replicas }),
        1 => (0..4usize, order).prop_map(|(service, order)| Order { service, order }),
        1 => (0..4usize, pace(Some(FailureAction::Rollback)), pace(None))
            .prop_map(|(service, update, rollback)| Happening::Pace { service, update, rollback }),
        1 => (0..4usize, proptest::option::of(1..9u64)).prop_map(|(service, mem)| Limit { service, mem }),
        1 => (0..4usize, 1..3u32).prop_map(|(service, slot)| Stop { service, slot }),
        1 => Just(Start),
        1 => (0..4usize).prop_map(|service| Restart { service }),
        1 => Just(Recreate),
        1 => (0..4usize).prop_map(|service| Lose { service }),
        1 => (0..4usize).prop_map(|service| Kill { service }),
        6 => (1..40u64).prop_map(|seconds| Pass { seconds }),
    ]
}

fn happen(mut world: World, happening: &Happening) -> World {
    match happening {
        Happening::Push { service, image } => {
            // A job has to end.
            let images = if SERVICES[*service] == "migrate" { JOBS } else { IMAGES };
            return world.push(SERVICES[*service], images[*image], &format!("r-{image}"));
        }
        Happening::Scale { service, replicas } => {
            // A job has no replicas.
            let replicas = if SERVICES[*service] == "migrate" { 1 } else { *replicas };
            return world.edit(SERVICES[*service], |s| s.replicas = replicas);
        }
        Happening::Order { service, order } => {
            return world.edit(SERVICES[*service], |s| s.order = *order);
        }
        Happening::Pace { service, update, rollback } => {
            return world.edit(SERVICES[*service], |s| {
                (s.update, s.rollback) = (*update, *rollback);
            });
        }
        Happening::Limit { service, mem } => {
            return world.edit(SERVICES[*service], |s| s.spec.mem_limit = mem.map(|m| m << 20));
        }
        Happening::Stop { service, slot } => {
            world.standing.stopped.insert(format!("{}.{slot}", SERVICES[*service]));
        }
        Happening::Start => world.standing.stopped.clear(),
        Happening::Restart { service } => {
            let name = format!("shop-{}-1", SERVICES[*service]);
            world.standing.stopped.remove(&format!("{}.1", SERVICES[*service]));
            world.asks(&name, AskVerb::Restart);
        }
        Happening::Recreate => world.asked.recreate = true,
        Happening::Lose { service } => {
            let name = format!("shop-{}-1", SERVICES[*service]);
            world.node.seen.tasks.retain(|task| task.spec.container_name != name);
        }
        Happening::Kill { service } => {
            let name = format!("shop-{}-1", SERVICES[*service]);
            let at = world.node.seen.at;
            for task in &mut world.node.seen.tasks {
                let task = std::sync::Arc::make_mut(task);
                if task.spec.container_name == name && task.phase == keel_engine::Phase::Running {
                    task.phase = keel_engine::Phase::Exited;
                    task.finished = Some(at);
                    task.exit_code = Some(137);
                    task.exit_cause = Some(keel_engine::ExitCause::KilledFromOutside);
                }
            }
        }
        Happening::Pass { seconds } => {
            for _ in 0..*seconds {
                world.step();
            }
        }
    }
    world
}

fn start(first: usize, restart: RestartPolicy) -> World {
    stack()
        .wants("web", IMAGES[first])
        .checked("web")
        .edit("web", |s| s.replicas = 2)
        .wants("db", "good:1")
        .with_data("db")
        .wants("api", "good:1")
        .edit("api", |s| s.spec.restart = restart)
        .after("api", "db", Condition::Started)
        .wants("migrate", "job")
        .before_deploy("migrate")
        .after("migrate", "db", Condition::Started)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_plans_are_sound_and_come_to_rest(
        first in 0..5usize,
        again in any::<bool>(),
        history in proptest::collection::vec(happening(), 1..14),
    ) {
        let restart = if again { RestartPolicy::Always } else { RestartPolicy::No };
        let world = history.iter().fold(start(first, restart), happen);
        let world = world.converge();
        // At rest means at rest: nothing starts moving again by itself.
        let before = world.shown();
        let mut world = world;
        for _ in 0..30 {
            world.step();
        }
        prop_assert_eq!(before.lines().count(), world.shown().lines().count());
    }
}

#[test]
fn a_latch_that_is_lifted_while_others_move() {
    use Happening::{Pass, Recreate, Start, Stop};
    let history =
        [Pass { seconds: 2 }, Stop { service: 3, slot: 1 }, Recreate, Pass { seconds: 1 }, Start];
    history.iter().fold(start(2, RestartPolicy::No), happen).converge();
}
