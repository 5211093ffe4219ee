//! A stack that goes, and what never goes by itself.

use crate::world::stack;
use keel_plan::standing::{Removal, Suspended};

#[test]
fn down_takes_tasks_then_networks_and_leaves_data() {
    let mut world = stack().wants("db", "pg:1").with_data("db").converge();
    world.standing.removed = Some(Removal { volumes: false });
    insta::assert_snapshot!(world.all(), @r"
    network shop_default    hold: in progress: tasks are still on it
    volume shop_data        hold: kept: it is data
    db.1                    remove: asked for by `keel down`
    ");
    let world = world.converge();
    assert!(world.plan().is_gone());
    assert!(world.node.seen.tasks.is_empty() && world.node.seen.networks.is_empty());
    assert_eq!(world.node.seen.volumes.len(), 1);
}

#[test]
fn data_goes_on_a_person_s_word() {
    let mut world = stack().wants("db", "pg:1").with_data("db").converge();
    world.standing.removed = Some(Removal { volumes: true });
    let world = world.converge();
    assert!(world.node.seen.volumes.is_empty() && world.plan().is_gone());
}

#[test]
fn an_application_goes_before_its_database() {
    let mut world = stack().wants("db", "pg:1").wants("web", "nginx:1");
    world = world.after("web", "db", keel_plan::desired::Condition::Started).converge();
    world.standing.removed = Some(Removal { volumes: false });
    let shown = world.shown();
    assert!(shown.contains("db.1: hold: waits for web to be removed"), "{shown}");
    assert!(shown.contains("web.1: remove"), "{shown}");
    assert_eq!(world.converge().running(), "");
}

#[test]
fn what_down_took_from_a_served_source_stays_away_visibly() {
    let mut world = stack().wants("web", "nginx:1").converge();
    world.standing.removed = Some(Removal { volumes: false });
    world.standing.suspended = Some(Suspended { by: "down".into(), since: 1, reason: None });
    let world = world.converge();
    insta::assert_snapshot!(world.all(), @"web.1    hold: suspended by down");
    assert!(world.node.seen.tasks.is_empty());
}

#[test]
fn a_volume_that_left_the_source_is_kept() {
    let mut world = stack().wants("db", "pg:1").with_data("db").wants("web", "n:1").converge();
    world.desired.volumes.clear();
    let world = world.without("db").converge();
    insta::assert_snapshot!(world.all(), @r"
    image n:1               hold: converged
    network shop_default    hold: converged
    volume shop_data        hold: kept: it is not in the source, but it is data
    web.1                   hold: converged
    ");
}

/// A controller that has just started knows of a silent node only what it sent there.
#[test]
fn down_waits_for_what_was_sent_to_a_node_that_does_not_answer() {
    let world = stack().with_members(&["n1", "n2"]).label("n2", "at", "2").wants("web", "nginx:1");
    let mut world = world.constrained("web", "node.labels.at == 2").converge();
    world.silent.insert("n2".into(), false);
    world.standing.removed = Some(Removal { volumes: false });
    insta::assert_snapshot!(world.shown(), @"web.1: hold: waits for node n2, which does not answer");
    let mut world = world.converge();
    assert!(!world.plan().is_gone(), "{}", world.all());
    world.silent.clear();
    let world = world.converge();
    assert!(world.plan().is_gone() && world.whereabouts().is_empty(), "{}", world.all());
}
