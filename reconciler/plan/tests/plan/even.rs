//! A person asks for an even spread: what moves, in which order, and what stays.

use crate::world::{World, stack};
use keel_engine::NetworkMode;
use keel_plan::placement::Mode;
use keel_plan::standing::Rebalance;
use keel_plan::text::of_move;
use std::sync::Arc;

/// Six tasks of `web` on the controller's own node, and two more nodes that came later.
fn lopsided() -> World {
    let world = stack().wants("web", "nginx:1").edit("web", |web| web.replicas = 6).converge();
    joined(world)
}

fn joined(world: World) -> World {
    let mut world = world.with_node("n2").with_node("n3");
    for node in ["n2", "n3"] {
        world.pool.members.insert(node.into(), Default::default());
    }
    world
}

fn ask(world: &mut World) {
    let since = world.node.seen.at;
    world.standing.rebalance = Some(Rebalance { by: "ann@desk".into(), since });
}

/// How many tasks each node has.
fn counts(world: &World) -> Vec<usize> {
    let others = world.others.values().map(|node| node.seen.tasks.len());
    std::iter::once(world.node.seen.tasks.len()).chain(others).collect()
}

fn moves(world: &World) -> String {
    let nodes = world.nodes();
    let moves = keel_plan::rebalanced(&world.inputs(&nodes));
    moves.iter().map(|step| of_move(step) + "\n").collect()
}

#[test]
fn nothing_moves_unless_somebody_asks_and_then_what_was_shown() {
    let world = lopsided().converge();
    assert_eq!(counts(&world), [6, 0, 0]);
    insta::assert_snapshot!(moves(&world), @r"
    web.3 moves from node n1 to n3 (n1 is running 6 tasks of it, while another runs 0)
    web.4 moves from node n1 to n2 (n1 is running 6 tasks of it, while another runs 0)
    web.5 moves from node n1 to n3 (n1 is running 6 tasks of it, while another runs 0)
    web.6 moves from node n1 to n2 (n1 is running 6 tasks of it, while another runs 0)
    ");
    let mut world = world;
    ask(&mut world);
    let mut most_down = 0;
    for _ in 0..120 {
        world.step();
        let running = world.running().split(' ').filter(|name| !name.is_empty()).count();
        most_down = most_down.max(6usize.saturating_sub(running));
    }
    assert_eq!(counts(&world), [2, 2, 2]);
    assert_eq!(most_down, 0, "each is started there before it is stopped here");
    assert_eq!(world.standing.rebalance, None, "it is done");
    assert_eq!(moves(&world), "");
}

#[test]
fn a_difference_of_one_is_left_alone() {
    let mut world = lopsided().edit("web", |web| web.replicas = 5).converge();
    ask(&mut world);
    let mut world = world.converge();
    let mut found = counts(&world);
    found.sort_unstable();
    assert_eq!(found, [1, 2, 2]);
    let before = counts(&world);
    ask(&mut world);
    let world = world.converge();
    assert_eq!(counts(&world), before);
    assert_eq!(world.standing.rebalance, None);
}

#[test]
fn what_is_bound_to_its_node_or_runs_on_each_stays() {
    let world = stack().wants("db", "postgres:16").with_data("db").edit("db", |db| db.replicas = 3);
    let world = world.wants("agent", "agent:1").edit("agent", |agent| {
        agent.placement.mode = Mode::Global;
    });
    let mut world = joined(world.converge()).converge();
    assert_eq!(moves(&world), "");
    ask(&mut world);
    let world = world.converge();
    assert_eq!(counts(&world), [4, 1, 1]);
    assert_eq!(world.standing.rebalance, None);
}

#[test]
fn nothing_moves_to_a_node_without_room_for_it() {
    let mut world = lopsided();
    for (node, memory) in [("n1", 64 << 30), ("n2", 64 << 30), ("n3", 1 << 29)] {
        Arc::make_mut(&mut world.at(node).seen.host).memory = memory;
    }
    let reserving = world.edit("web", |web| web.spec.reserved_memory = Some(1 << 30));
    let mut world = reserving.converge();
    ask(&mut world);
    let world = world.converge();
    assert_eq!(counts(&world), [3, 3, 0]);
    assert_eq!(world.standing.rebalance, None, "what fits nowhere is waited for by nobody");
}

#[test]
fn what_shares_its_namespace_with_a_service_that_has_data_stays() {
    let world = stack().wants("web", "nginx:1").edit("web", |web| web.replicas = 3);
    let world = world.wants("side", "side:1").with_data("side").edit("side", |side| {
        side.spec.network_mode = NetworkMode::Service("web".into());
    });
    let world = joined(world.converge()).converge();
    assert_eq!(moves(&world), "");
}
