//! What a task waits for before it starts.

use crate::world::{World, mount, port, stack};
use keel_engine::{Assignment, ForeignContainer, MountSource};
use keel_plan::desired::Condition;

#[test]
fn dependencies_order_starts_and_updates() {
    let world = stack().wants("db", "pg:1").checked("db").wants("api", "api:1");
    let mut world = world.after("api", "db", Condition::Healthy);
    insta::assert_snapshot!(world.story(), @r"
    --
    api.1: hold: waits for db to be healthy
    db.1: hold: waits for image pg:1
    --
    api.1: hold: waits for db to be healthy
    db.1: start: not running
    --
    api.1: hold: waits for db to be healthy
    db.1: hold: in progress: it is being prepared
    --
    api.1: hold: waits for db to be healthy
    db.1: hold: waits for db to be available
    --
    api.1: start: not running
    db.1: hold: waits for db to be available
    --
    api.1: hold: in progress: it is being prepared
    db.1: hold: waits for db to be available
    --
    api.1: hold: waits for api to be available
    db.1: hold: waits for db to be available
    --
    api.1: hold: waits for api to be available
    db.1: hold: converged
    --
    api.1: hold: converged
    db.1: hold: converged
    ");
    let mut world = world.push("db", "pg:2", "r2").push("api", "api:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    api.1: hold: waits for image api:2
    db.1: hold: waits for image api:2
    --
    api.1: hold: waits for db to be healthy
    db.1: replace: image pg:1 -> pg:2 (compose.yaml:7:12)
    --
    api.1: hold: waits for db to be healthy
    db.1: hold: in progress: it is being prepared
    --
    api.1: hold: waits for db to be healthy
    db.1: hold: waits for db to be available
    --
    api.1: replace: image api:1 -> api:2 (compose.yaml:7:12)
    db.1: hold: waits for db to be available
    --
    api.1: hold: in progress: it is being prepared
    db.1: hold: waits for db to be available
    --
    api.1: replace: image api:1 -> api:2 (compose.yaml:7:12)
    db.1: hold: waits for db to be available
    --
    api.1: hold: in progress: its predecessor is being stopped
    db.1: hold: waits for db to be available
    --
    api.1: replace: image api:1 -> api:2 (compose.yaml:7:12)
    db.1: hold: waits for db to be available
    --
    api.1: hold: waits for api to be available
    db.1: hold: waits for db to be available
    --
    api.1: hold: waits for api to be available
    db.1: remove: its successor is available
    --
    api.1: hold: waits for api to be available
    db.1: hold: in progress: it is being removed
    --
    api.1: hold: waits for api to be available
    db.1: hold: converged
    --
    api.1: remove: its successor is available
    db.1: hold: converged
    --
    api.1: hold: converged
    db.1: hold: converged
    ");
}

#[test]
fn the_image_comes_before_anything_old_is_stopped() {
    let mut world = stack().served().wants("web", "nginx:1").converge();
    world = world.push("web", "later", "r2");
    world.node.unknown = vec!["later".into()];
    for _ in 0..20 {
        world.step();
    }
    insta::assert_snapshot!(world.all(), @r"
    image later             hold: waits for image later: no such image
    network shop_default    hold: converged
    web.1                   hold: waits for image later: no such image
    ");
    assert_eq!(world.running(), "shop-web-1=nginx:1");
    world.node.unknown.clear();
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=later");
}

#[test]
fn an_image_that_never_comes_is_given_up_and_blames_no_revision() {
    let mut world = stack().served().wants("web", "never");
    world.node.unknown = vec!["never".into()];
    for _ in 0..100 {
        world.pass();
        world.node.tick(10_000);
    }
    insta::assert_snapshot!(world.shown(), @"web.1: hold: failed: image never: no such image");
    assert!(world.standing.bad.is_empty());
}

#[test]
fn whoever_runs_a_command_is_told_at_once_that_there_is_no_such_image() {
    let mut world = stack().wants("web", "nope");
    world.node.unknown = vec!["nope".into()];
    let mut world = world.converge();
    insta::assert_snapshot!(world.shown(), @"web.1: hold: failed: image nope: no such image");
    // It has been pushed meanwhile, and the person tries again.
    world.node.unknown.clear();
    world.asked.resolve = true;
    world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nope");
}

#[test]
fn what_others_hold_is_not_taken() {
    let other = stack().wants("x", "x:1").edit("x", |s| s.spec.ports = vec![port(80)]).converge();
    let mut world = stack().wants("web", "nginx:1").edit("web", |s| s.spec.ports = vec![port(80)]);
    let mut task = other.node.seen.tasks[0].clone();
    let stack_name = keel_engine::StackName::new("other").unwrap();
    let slot = keel_engine::Slot { stack: stack_name, service: "x".into(), slot: "1".into() };
    std::sync::Arc::make_mut(&mut task).place = keel_engine::Place::Slot(slot);
    world.node.seen.tasks.push(task);
    world.node.image("nginx:1");
    insta::assert_snapshot!(world.shown(), @"web.1: hold: failed: port 80:80/tcp is taken by shop-x-1; publish another one, or stop shop-x-1");
    let status = keel_plan::status::status(&world.inputs(&world.nodes()));
    assert_eq!(
        keel_plan::text::of_notes(&status.notes),
        ["web.1 port 80:80/tcp is taken by shop-x-1; publish another one, or stop shop-x-1"]
    );
}

#[test]
fn what_docker_runs_is_left_to_it() {
    let bind = |s: &mut keel_plan::desired::DesiredService| {
        let source = MountSource::Bind { path: "/srv/media/films".into(), create: true };
        s.spec.volumes = vec![mount(source)];
    };
    let mut world = stack().wants("web", "nginx:1").wants("tv", "tv:1").edit("tv", bind);
    let foreign = |name: &str, project: &str, writes: &[&str]| ForeignContainer {
        name: name.into(),
        project: project.into(),
        service: "web".into(),
        writes: writes.iter().map(|path| (*path).to_owned()).collect(),
    };
    world.node.seen.foreign =
        vec![foreign("shop-web-1", "shop", &[]), foreign("arr", "media", &["/", "/srv/media"])];
    insta::assert_snapshot!(world.shown(), @r"
    tv.1: hold: runs in Docker as arr
    web.1: hold: runs in Docker as shop-web-1
    ");
}

#[test]
fn what_needs_something_held_is_held_and_blames_no_revision() {
    let held = keel_plan::desired::Held { field: "build".into(), why: "no".into(), at: None };
    let world = stack().wants("db", "pg:1").edit("db", |s| s.held = vec![held]);
    let world = world.wants("api", "a:1").after("api", "db", Condition::Started).wants("x", "x:1");
    let world = world.converge();
    insta::assert_snapshot!(world.shown(), @r"
    api.1: hold: not run yet: `depends_on.db`: needs db.1 started: not run yet: `build`: no
    db.1: hold: not run yet: `build`: no
    x.1: hold: converged
    ");
    assert!(world.standing.good.is_some());
}

#[test]
fn a_revision_that_is_held_is_none_to_come_back_to_while_an_earlier_one_runs() {
    let held =
        || keel_plan::desired::Held { field: "devices[0]".into(), why: "no".into(), at: None };
    let world = stack().wants("web", "nginx:1").checked("web").converge();
    let mut world = world.push("web", "nginx:2", "r2").edit("web", |s| s.held = vec![held()]);
    world.desired.revision = "r2".into();
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1");
    let world = world.edit("web", |s| s.held = vec![]).push("web", "sick", "r3").converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1", "{}", world.shown());
}

#[test]
fn a_network_that_leaves_waits_for_nobody_who_is_held() {
    let world = stack().wants("web", "nginx:1").converge();
    let mut world = world.edit("web", |s| {
        s.spec.networks[0].network = "lan".into();
    });
    let mut lan = world.desired.networks.remove("shop_default").unwrap();
    (lan.spec.name, lan.external) = ("lan".into(), true);
    world.desired.networks.insert("lan".into(), lan);
    (0..9).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.all(), @r"
    image nginx:1           hold: converged
    network lan             hold: network lan does not exist: `keel network create lan` creates it
    network shop_default    hold: kept: it is not in the source, but tasks are still on it
    web.1                   hold: network lan does not exist: `keel network create lan` creates it
    ");
    assert_eq!(world.running(), "shop-web-1=nginx:1");
}

#[test]
fn what_is_external_must_exist() {
    let mut world = stack().wants("web", "nginx:1");
    world.desired.networks.get_mut("shop_default").unwrap().external = true;
    world.node.image("nginx:1");
    insta::assert_snapshot!(world.all(), @r"
    image nginx:1           hold: converged
    network shop_default    hold: network shop_default does not exist: `keel network create shop_default` creates it
    web.1                   hold: network shop_default does not exist: `keel network create shop_default` creates it
    ");
}

#[test]
fn a_dependent_that_asks_for_it_is_restarted_after_an_update() {
    let world = stack().wants("db", "pg:1").wants("api", "api:1");
    let world = world.after("api", "db", Condition::Started).edit("api", |s| {
        s.depends_on[0].restart = true;
    });
    let mut world = world.converge();
    let before = world.node.named("shop-api-1").clone();
    let mut world = world.push("db", "pg:2", "r2").converge();
    let after = world.node.named("shop-api-1").clone();
    assert!(after.id == before.id && after.started > before.started);
    assert!(world.standing.asks.is_empty());
    let generation = world.standing.generation;
    let world = world.converge();
    assert_eq!(world.standing.generation, generation, "once");
}

#[test]
fn an_image_is_awaited_for_as_long_as_the_stack_or_a_service_says() {
    let given_up = |edit: fn(&mut crate::world::World)| {
        let mut world = stack().served().wants("web", "never");
        world.node.unknown = vec!["never".into()];
        edit(&mut world);
        let start = world.node.seen.at;
        while !world.shown().contains("failed: image never") {
            assert!(world.node.seen.at - start < 3_600_000, "{}", world.shown());
            world.pass();
            world.node.tick(10_000);
        }
        (world.node.seen.at - start) / 60_000
    };
    assert_eq!(given_up(|_| ()), 15);
    assert_eq!(given_up(|world| world.desired.policy.image_wait = 120_000), 2);
    let service = given_up(|world| {
        world.desired.services.get_mut("web").unwrap().image_wait = Some(3_600_000);
    });
    assert_eq!(service, 60);
}

#[test]
fn until_all_images_are_there_nothing_old_is_touched() {
    let world = stack().served().wants("web", "nginx:1").wants("api", "api:1").wants("old", "o:1");
    let mut world = world.converge().without("old").push("web", "later", "r2");
    world = world.push("api", "api:2", "r2").wants("new", "new:1");
    world.node.unknown = vec!["later".into()];
    (0..20).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    api.1: hold: waits for image later: no such image
    new.1: hold: converged
    old.1: hold: waits for image later: no such image
    web.1: hold: waits for image later: no such image
    ");
    world.node.unknown.clear();
    assert_eq!(world.converge().running(), "shop-api-1=api:2 shop-new-1=new:1 shop-web-1=later");
}

#[test]
fn what_only_waits_reserves_no_port() {
    for (attempts, expected) in [(0, "web.1: hold: failed: port"), (3, "web.1: replace")] {
        let mut world = stack().wants("web", "web:1").edit("web", |s| {
            s.spec.ports = vec![port(80)];
        });
        world = world.converge();
        let mut other = world.node.named("shop-web-1").clone();
        let slot = keel_engine::Slot {
            stack: keel_engine::StackName::new("other").unwrap(),
            service: "web".into(),
            slot: "1".into(),
        };
        (other.id, other.place) =
            (keel_engine::TaskId::from_seed("other"), keel_engine::Place::Slot(slot));
        std::sync::Arc::make_mut(&mut other.spec).container_name = "other-web-1".into();
        (other.phase, other.pid, other.attempts) = (keel_engine::Phase::Preparing, None, attempts);
        world.node.seen.tasks.push(other.into());
        let world = world.edit("web", |s| s.spec.working_dir = Some("/new".into()));
        assert!(world.shown().starts_with(expected), "{attempts}: {}", world.shown());
    }
}

/// A controller whose clock is set back does not wait for the time that it had noted.
#[test]
fn a_pull_is_asked_for_again_after_the_clock_was_set_back() {
    let mut world = stack().wants("web", "nginx:1");
    let asks = |world: &World| {
        let wishes = world.plan();
        let is_pull = |wish: &keel_engine::Wish| matches!(wish.what, Assignment::Image { .. });
        wishes.wishes().any(is_pull)
    };
    assert!(asks(&world));
    // It is noted, and gets lost on its way.
    world.standing = world.plan().standing;
    assert!(!asks(&world), "so soon");
    world.node.seen.at -= 600_000;
    assert!(asks(&world));
}
