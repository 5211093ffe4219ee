//! What is said of names and ports that end at a node.

use crate::world::{World, port, stack};
use keel_plan::status::status;
use keel_plan::text::of_notes;

fn told(world: &World) -> String {
    let nodes = world.nodes();
    let inputs = world.inputs(&nodes);
    let notes = of_notes(&status(&inputs).notes).join("\n");
    assert_eq!(
        of_notes(&keel_plan::out_of_reach(&inputs)).join("\n"),
        notes,
        "a plan says the same"
    );
    notes
}

fn two() -> World {
    let world = stack().with_members(&["n1", "n2"]).label("n1", "at", "1").label("n2", "at", "2");
    world.wants("web", "nginx:1").wants("db", "postgres:16")
}

#[test]
fn services_that_miss_each_other_are_named_with_their_nodes() {
    let world = two().constrained("web", "node.labels.at == 1");
    let apart = world.constrained("db", "node.labels.at == 2").converge();
    insta::assert_snapshot!(told(&apart), @"names on network shop_default resolve to tasks on the same node only: db (node n2), web (node n1)");
    let world = two().constrained("web", "node.labels.at == 1");
    assert_eq!(told(&world.constrained("db", "node.labels.at == 1").converge()), "", "together");
}

#[test]
fn ports_are_told_of_where_a_node_lacks_them() {
    let one = two().edit("web", |web| web.spec.ports = vec![port(8080)]);
    let one = one.constrained("web", "node.labels.at == 1");
    let one = one.constrained("db", "node.labels.at == 1").converge();
    insta::assert_snapshot!(told(&one), @"ports of web are published on node n1 only");
    let alone = stack().with_member("n1").wants("web", "nginx:1").wants("db", "postgres:16");
    let alone = alone.edit("web", |web| web.spec.ports = vec![port(8080)]).converge();
    assert_eq!(told(&alone), "", "one node is the whole pool");
}
