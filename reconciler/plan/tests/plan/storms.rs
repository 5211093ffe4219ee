//! Nodes fall silent, are given up, come back and are taken for dead in any order, while people push: no plan breaks
//! an invariant, what is tied to its node never runs twice, and once all is quiet exactly what is wanted runs.

use crate::world::{World, stack};
use keel_engine::{NodeName, Phase};
use keel_plan::status::{Health, status};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Blow {
    Silence(usize),
    GiveUp(usize),
    Hear(usize),
    /// The controller starts anew, and has heard nothing of the silent ones since.
    Restart,
    Push(u8),
    Scale(u32),
    Pass(usize),
}

fn blow() -> impl Strategy<Value = Blow> {
    use Blow::*;
    prop_oneof![
        2 => (0..2usize).prop_map(Silence),
        3 => (0..2usize).prop_map(GiveUp),
        3 => (0..2usize).prop_map(Hear),
        1 => Just(Restart),
        1 => (1..4u8).prop_map(Push),
        1 => (1..5u32).prop_map(Scale),
        6 => (1..12usize).prop_map(Pass),
    ]
}

fn node(number: usize) -> NodeName {
    ["n2", "n3"][number].into()
}

fn begin() -> World {
    let world = stack().with_members(&["n1", "n2", "n3"]).label("n2", "far", "1");
    let world = world.label("n3", "far", "1").wants("web", "nginx:1").times("web", 4);
    let world = world.wants("db", "postgres:16").with_data("db");
    let world = world.constrained("db", "node.labels.far == 1").wants("lone", "lone:1");
    let world = world.constrained("lone", "node.labels.far == 1");
    world.placed("lone", |place| place.exclusive = true).converge()
}

fn blows(mut world: World, blow: &Blow) -> World {
    match blow {
        Blow::Silence(at) => {
            world.silent.entry(node(*at)).or_insert(true);
        }
        Blow::GiveUp(at) => {
            world.silent.entry(node(*at)).or_insert(true);
            world.down.insert(node(*at));
        }
        Blow::Hear(at) => {
            world.silent.remove(&node(*at));
            world.down.remove(&node(*at));
        }
        Blow::Restart => {
            world.silent.values_mut().for_each(|answered| *answered = false);
            world.down.clear();
        }
        Blow::Push(version) => {
            world = world.push("web", &format!("nginx:{version}"), &format!("r{version}"));
        }
        Blow::Scale(replicas) => world = world.times("web", *replicas),
        Blow::Pass(times) => {
            for _ in 0..*times {
                world.step();
                alone(&world);
            }
        }
    }
    world
}

/// How many tasks of a service run anywhere, also where nobody sees them.
fn running(world: &World, service: &str) -> usize {
    let nodes = std::iter::once(&world.node).chain(world.others.values());
    let tasks = nodes.flat_map(|node| &node.seen.tasks);
    let own = tasks.filter(|task| task.place.slot().is_some_and(|slot| slot.service == service));
    own.filter(|task| task.phase == Phase::Running).count()
}

fn alone(world: &World) {
    for service in ["db", "lone"] {
        assert!(running(world, service) <= 1, "{service} runs twice:\n{}", world.all());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn after_any_storm_exactly_what_is_wanted_runs(all in prop::collection::vec(blow(), 1..25)) {
        let mut world = all.iter().fold(begin(), blows);
        world.silent.clear();
        world.down.clear();
        for _ in 0..200 {
            world.step();
            alone(&world);
        }
        let wanted = world.desired.services["web"].replicas as usize;
        prop_assert_eq!(running(&world, "web"), wanted, "{}", world.all());
        prop_assert_eq!((running(&world, "db"), running(&world, "lone")), (1, 1));
        let now = status(&world.inputs(&world.nodes()));
        prop_assert_eq!(now.health, Health::Healthy, "{}", world.all());
        prop_assert!(world.standing.replaced.is_empty(), "{:?}", world.standing.replaced);
    }
}
