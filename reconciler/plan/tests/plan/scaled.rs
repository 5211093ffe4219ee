//! A number of tasks that a person set: what comes, what goes, and when the source's number counts again.

use crate::world::{World, stack};
use keel_engine::Availability;
use keel_plan::standing::ScaleOverride;
use keel_plan::status::status;
use keel_plan::text::of_notes;
use keel_plan::verdict::Learned;

fn scale(world: &mut World, service: &str, replicas: u32, until: Option<u64>) {
    let (by, since) = ("ann@desk".to_owned(), world.node.seen.at);
    let reason = Some("black Friday".to_owned());
    let scale = ScaleOverride { replicas, by, since, until, reason };
    world.standing.scaled.insert(service.into(), scale);
}

/// `web` twice, as the source says.
fn two() -> World {
    stack().wants("web", "nginx:1").edit("web", |web| web.replicas = 2).converge()
}

fn notes(world: &World) -> String {
    let nodes = world.nodes();
    of_notes(&status(&world.inputs(&nodes)).notes).join("\n")
}

#[test]
fn a_person_sets_the_number_and_the_sources_number_comes_back() {
    let mut world = two();
    let noon = world.node.seen.at;
    scale(&mut world, "web", 4, Some(noon + 60_000));
    insta::assert_snapshot!(world.shown(), @r"
    web.1: hold: converged
    web.2: hold: converged
    web.3: start: scaled to 4 tasks by ann@desk
    web.4: start: scaled to 4 tasks by ann@desk
    ");
    let mut world = world.converge();
    assert_eq!(world.plan().wake, Some(noon + 60_000), "it waits for the time that was said");
    let told = notes(&world);
    assert!(told.starts_with("web is scaled to 4 tasks by ann@desk for another "), "{told}");
    assert!(told.ends_with(" s (the source says 2): black Friday"), "{told}");
    let nodes = world.nodes();
    assert_eq!(status(&world.inputs(&nodes)).services["web"], (4, 4));
    world.tick(60_000);
    insta::assert_snapshot!(world.shown(), @r"
    web.1: hold: converged
    web.2: hold: converged
    web.3: remove: 2 tasks desired
    web.4: remove: 2 tasks desired
    ");
    let ended = |learned: &Learned| matches!(learned, Learned::ScaleEnded { service, .. } if service == "web");
    assert!(world.plan().learned.iter().any(ended));
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1 shop-web-2=nginx:1");
    assert!(world.standing.scaled.is_empty());
    assert_eq!((notes(&world), world.plan().wake), (String::new(), None));
}

#[test]
fn a_number_that_a_person_set_is_no_new_revision() {
    let mut world = two();
    let good = world.standing.good;
    scale(&mut world, "web", 3, None);
    let mut world = world.converge();
    assert_eq!(world.standing.good, good);
    assert_eq!(world.standing.good_desired.as_ref().unwrap().services["web"].replicas, 2);
    // It stays over pushes; those roll out over all of them.
    world = world.push("web", "nginx:2", "r2").converge();
    assert_eq!(world.running(), "shop-web-1=nginx:2 shop-web-2=nginx:2 shop-web-3=nginx:2");
    world.standing.scaled.clear();
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:2 shop-web-2=nginx:2");
}

#[test]
fn a_service_can_be_scaled_to_nothing_and_from_nothing() {
    let mut world = two();
    scale(&mut world, "web", 0, None);
    let mut world = world.converge();
    assert_eq!(world.running(), "");
    world = world.edit("web", |web| web.replicas = 0);
    scale(&mut world, "web", 1, None);
    assert_eq!(world.converge().running(), "shop-web-1=nginx:1");
}

#[test]
fn a_number_of_a_service_that_left_the_source_is_forgotten() {
    let mut world = two();
    scale(&mut world, "web", 5, None);
    let world = world.converge().without("web").converge();
    assert!(world.standing.scaled.is_empty());
}

#[test]
fn what_is_ill_goes_first_and_the_others_keep_their_numbers() {
    let mut world = two();
    scale(&mut world, "web", 3, None);
    let mut world = world.converge();
    world.node.named("shop-web-1").health = keel_engine::Health::Unhealthy;
    world.standing.scaled.clear();
    insta::assert_snapshot!(world.shown(), @r"
    web.1: remove: 2 tasks desired
    web.2: hold: converged
    web.3: hold: converged
    ");
    let mut world = world.converge();
    assert_eq!(world.running(), "shop-web-2=nginx:1 shop-web-3=nginx:1");
    // The number that is free is the next that is given.
    scale(&mut world, "web", 3, None);
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1 shop-web-2=nginx:1 shop-web-3=nginx:1");
}

#[test]
fn the_time_ends_in_a_rollout_and_what_is_still_old_goes_first() {
    let mut world = two();
    let until = world.node.seen.at + 600_000;
    scale(&mut world, "web", 4, Some(until));
    let mut world = world.converge().push("web", "nginx:2", "r2");
    for _ in 0..60 {
        world.step();
        if world.running().matches("nginx:2").count() == 2 {
            break;
        }
    }
    assert_eq!(world.running().matches("nginx:1").count(), 2, "{}", world.running());
    let left = until - world.node.seen.at;
    world.tick(left);
    let mut fewest = 4;
    for _ in 0..120 {
        world.step();
        fewest = fewest.min(world.running().split(' ').filter(|name| !name.is_empty()).count());
    }
    assert_eq!(world.running(), "shop-web-1=nginx:2 shop-web-2=nginx:2");
    assert_eq!(fewest, 2);
}

#[test]
fn of_several_nodes_the_fullest_gives_up_its_tasks() {
    let mut world = two().with_node("n2");
    world.pool.members.insert("n2".into(), Default::default());
    scale(&mut world, "web", 6, None);
    let mut world = world.converge();
    let here = world.node.seen.tasks.len();
    assert_eq!((here, world.others[&"n2".into()].seen.tasks.len()), (3, 3));
    scale(&mut world, "web", 2, None);
    let world = world.converge();
    let here = world.node.seen.tasks.len();
    assert_eq!((here, world.others[&"n2".into()].seen.tasks.len()), (1, 1));
}

/// Three nodes with a task each, and the slot of the one on the second.
fn spread() -> (World, String) {
    let world = stack().with_members(&["n1", "n2", "n3"]).wants("web", "nginx:1");
    let world = world.times("web", 3).converge();
    let whereabouts = world.whereabouts();
    let (_, on_two) = whereabouts.split_once("n2: ").unwrap();
    let slot = on_two.split(|char: char| char != '.' && !char.is_alphanumeric()).next().unwrap();
    (world, slot.to_owned())
}

#[test]
fn those_go_first_that_have_to_leave_or_that_nobody_hears_of() {
    let drained = |world: World| world.set("n2", Availability::Drain);
    let silent = |mut world: World| {
        world.silent.insert("n2".into(), true);
        world
    };
    let cases: [(&str, &dyn Fn(World) -> World); 2] = [("drained", &drained), ("silent", &silent)];
    for (case, happens) in cases {
        let (world, goes) = spread();
        let mut world = happens(world);
        scale(&mut world, "web", 2, None);
        for line in world.shown().lines() {
            let stays = line.ends_with("hold: converged");
            assert_eq!(stays, !line.starts_with(&goes), "{case}: {}", world.shown());
        }
    }
}
