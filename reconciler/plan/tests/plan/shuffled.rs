//! Random pools and what happens to them: no plan breaks an invariant, the same inputs give the same plan, and
//! what may stay where it is stays there.

use crate::members::GIB;
use crate::world::{World, stack};
use keel_engine::Availability;
use keel_plan::placement::Mode;
use keel_plan::text;
use proptest::prelude::*;
use std::collections::BTreeMap;

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];
const SERVICES: [&str; 3] = ["a", "b", "c"];
const LABELS: [&str; 3] = ["x", "y", ""];

#[derive(Debug, Clone)]
struct Service {
    replicas: u32,
    memory: u64,
    mode: u8,
    label: usize,
    is_spread: bool,
    max: Option<u32>,
    port: Option<u16>,
    is_checked: bool,
}

fn service() -> impl Strategy<Value = Service> {
    let port = proptest::option::of(80..82u16);
    let max = proptest::option::of(1..3u32);
    let parts = (0..5u32, 0..3u64, 0..6u8, 0..3usize, any::<bool>(), max, port, any::<bool>());
    parts.prop_map(|(replicas, memory, mode, label, is_spread, max, port, is_checked)| Service {
        replicas,
        memory,
        mode,
        label,
        is_spread,
        max,
        port,
        is_checked,
    })
}

#[derive(Debug, Clone)]
enum Happening {
    Set(usize, Availability),
    Label(usize, usize),
    Size(usize, u64),
    Silent(usize),
    Answers,
    Lose(usize),
    Join(usize),
    Push(usize, u8),
    Scale(usize, u32),
    Pass(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let availability = prop_oneof![
        Just(Availability::Active),
        Just(Availability::Pause),
        Just(Availability::Drain)
    ];
    prop_oneof![
        2 => (0..4usize, availability).prop_map(|(node, to)| Set(node, to)),
        2 => (0..4usize, 0..3usize).prop_map(|(node, label)| Label(node, label)),
        2 => (0..4usize, 1..5u64).prop_map(|(node, size)| Size(node, size)),
        1 => (1..4usize).prop_map(Silent),
        1 => Just(Answers),
        1 => (1..4usize).prop_map(Lose),
        1 => (1..4usize).prop_map(Join),
        2 => (0..3usize, 1..4u8).prop_map(|(service, image)| Push(service, image)),
        1 => (0..3usize, 0..5u32).prop_map(|(service, replicas)| Scale(service, replicas)),
        6 => (1..15usize).prop_map(Pass),
    ]
}

fn start(services: &[Service]) -> World {
    let world = stack().with_members(&NODES).label("n1", "zone", "x").label("n2", "zone", "y");
    SERVICES.iter().zip(services).fold(world, |world, (name, service)| {
        let mut world = world.wants(name, "good:1").times(name, service.replicas);
        if service.memory > 0 {
            world = world.reserves(name, service.memory * GIB);
        }
        if service.is_checked {
            world = world.checked(name);
        }
        if let Some(port) = service.port {
            world = world.publishes(name, port);
        }
        if service.label < 2 {
            world =
                world.constrained(name, &format!("node.labels.zone != {}", LABELS[service.label]));
        }
        world.placed(name, |place| {
            place.max_per_node = service.max;
            place.spread = service.is_spread.then(|| "zone".to_owned()).into_iter().collect();
            if service.mode == 0 {
                place.mode = Mode::Global;
            }
        })
    })
}

fn happen(mut world: World, happening: &Happening) -> World {
    use Happening::*;
    let there = |world: &World, node: usize| world.pool.members.contains_key(&NODES[node].into());
    match happening {
        Set(node, to) if there(&world, *node) => world.set(NODES[*node], *to),
        Label(node, label) if there(&world, *node) => {
            world.label(NODES[*node], "zone", LABELS[*label])
        }
        Size(node, size) if there(&world, *node) => world.sized(NODES[*node], 4, size * GIB),
        Silent(node) if there(&world, *node) => {
            world.silent.insert(NODES[*node].into(), true);
            world
        }
        Answers => {
            world.silent.clear();
            world
        }
        Lose(node) => {
            world.silent.remove(&NODES[*node].into());
            world.lose(NODES[*node])
        }
        Join(node) if !there(&world, *node) => world.with_member(NODES[*node]),
        Push(service, image) => {
            world.push(SERVICES[*service], &format!("good:{image}"), &format!("r{image}"))
        }
        Scale(service, replicas) => world.times(SERVICES[*service], *replicas),
        Pass(times) => world.steps(*times),
        _ => world,
    }
}

/// Each slot's node.
fn places(world: &World) -> BTreeMap<String, String> {
    let nodes = std::iter::once(&world.node).chain(world.others.values());
    let tasks =
        nodes.flat_map(|node| node.seen.all_tasks().map(move |task| (&node.seen.node, task)));
    let running = tasks.filter(|(_, task)| task.phase == keel_engine::Phase::Running);
    running.map(|(node, task)| (task.spec.container_name.clone(), node.to_string())).collect()
}

/// Passes until nothing is told to any node any more; some slots may have no place.
fn rest(mut world: World) -> World {
    let mut quiet = 0;
    for _ in 0..400 {
        let plan = world.plan();
        quiet = if plan.wishes().next().is_none() { quiet + 1 } else { 0 };
        world.take(&plan);
        // Nothing is judged in less time than it takes to settle.
        world.tick(2_000);
        if quiet > 12 {
            return world;
        }
    }
    panic!("no end:\n{}", world.all());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_a_pool_plans_are_sound_and_come_to_rest(
        services in proptest::collection::vec(service(), 3),
        history in proptest::collection::vec(happening(), 1..10),
    ) {
        let world = history.iter().fold(start(&services), happen);
        let world = rest(world);
        // Equal inputs, equal plans.
        prop_assert_eq!(text::lines(&world.plan()), text::lines(&world.plan()));
        // Nothing that may stay is moved by itself.
        let before = places(&world);
        let world = world.steps(15);
        prop_assert_eq!(&before, &places(&world));
    }

    #[test]
    fn one_node_more_moves_nothing(services in proptest::collection::vec(service(), 3)) {
        let world = rest(start(&services));
        let before = places(&world);
        let world = rest(world.with_member("n5"));
        let after = places(&world);
        for (name, node) in before {
            prop_assert_eq!(after.get(&name), Some(&node), "{}", name);
        }
    }

    /// What a node had goes elsewhere; what others had stays.
    #[test]
    fn one_node_less_moves_what_it_had(
        services in proptest::collection::vec(service(), 3),
        lost in 1..4usize,
    ) {
        let world = rest(start(&services));
        let before = places(&world);
        let world = rest(world.lose(NODES[lost]));
        let after = places(&world);
        for (name, node) in before.iter().filter(|(_, node)| *node != NODES[lost]) {
            prop_assert_eq!(after.get(name), Some(node), "{}", name);
        }
        prop_assert!(after.values().all(|node| node != NODES[lost]));
    }
}
