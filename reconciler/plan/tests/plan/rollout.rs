//! Replacing what runs: order, one at a time, failures.

use crate::world::{port, stack};
use keel_engine::{Assignment, ExitCause, Goal, HealthTest, Phase, Tmpfs};
use keel_plan::desired::Order;
use keel_plan::verdict::Learned;

#[test]
fn a_new_stack_starts() {
    let world = stack().wants("web", "nginx:1");
    insta::assert_snapshot!(world.all(), @r"
    image nginx:1           pull: not present on this node
    network shop_default    create: it does not exist
    web.1                   hold: waits for image nginx:1
    ");
    let world = world.converge();
    insta::assert_snapshot!(world.all(), @r"
    image nginx:1           hold: converged
    network shop_default    hold: converged
    web.1                   hold: converged
    ");
    assert!(world.standing.good.is_some() && world.standing.rollout.is_none());
}

#[test]
fn start_first_where_it_is_safe_and_of_use() {
    let world = stack().wants("web", "nginx:1").checked("web").edit("web", |s| s.replicas = 2);
    let mut world = world.converge().push("web", "nginx:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    web.1: hold: waits for image nginx:2
    web.2: hold: waits for image nginx:2
    --
    web.1: replace: image nginx:1 -> nginx:2 (compose.yaml:7:12)
    web.2: hold: rollout full (1 at a time)
    --
    web.1: hold: in progress: it is being prepared
    web.2: hold: rollout full (1 at a time)
    --
    web.1: hold: waits for web to be available
    web.2: hold: rollout full (1 at a time)
    --
    web.1: remove: its successor is available
    web.2: hold: rollout full (1 at a time)
    --
    web.1: hold: in progress: it is being removed
    web.2: hold: rollout full (1 at a time)
    --
    web.1: hold: converged
    web.2: replace: image nginx:1 -> nginx:2 (compose.yaml:7:12)
    --
    web.1: hold: converged
    web.2: hold: in progress: it is being prepared
    --
    web.1: hold: converged
    web.2: hold: waits for web to be available
    --
    web.1: hold: converged
    web.2: remove: its successor is available
    --
    web.1: hold: converged
    web.2: hold: in progress: it is being removed
    --
    web.1: hold: converged
    web.2: hold: converged
    ");
    assert_eq!(world.running(), "shop-web-1=nginx:2 shop-web-2=nginx:2");
}

#[test]
fn stop_first_else() {
    let world = stack().wants("db", "pg:1").with_data("db").checked("db");
    let mut world = world.converge().push("db", "pg:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    db.1: hold: waits for image pg:2
    --
    db.1: replace: image pg:1 -> pg:2 (compose.yaml:7:12)
    --
    db.1: hold: in progress: it is being prepared
    --
    db.1: replace: image pg:1 -> pg:2 (compose.yaml:7:12)
    --
    db.1: hold: in progress: its predecessor is being stopped
    --
    db.1: replace: image pg:1 -> pg:2 (compose.yaml:7:12)
    --
    db.1: hold: waits for db to be available
    --
    db.1: remove: its successor is available
    --
    db.1: hold: converged
    ");
    assert_eq!(world.running(), "shop-db-1=pg:2");
}

/// It passes from task to task, so two that run would both write to it.
#[test]
fn a_volume_that_only_the_image_declares_is_data_of_its_own() {
    let first = |mut world: crate::world::World| {
        let story = world.story();
        story.lines().filter(|line| line.contains("predecessor is being stopped")).count()
    };
    let redis = || stack().wants("db", "redis:1").checked("db");
    assert_eq!(first(redis().converge().push("db", "redis:2", "r2")), 1);
    let asked = redis().edit("db", |db| db.order = Some(Order::StartFirst));
    assert_eq!(first(asked.converge().push("db", "redis:2", "r2")), 1, "an order lifts no safety");
    let covered = redis().edit("db", |db| {
        db.spec.tmpfs = vec![Tmpfs { target: "/data/".into(), ..Tmpfs::default() }];
    });
    assert_eq!(first(covered.converge().push("db", "redis:2", "r2")), 0);
}

#[test]
fn a_revision_that_crashes_is_taken_back_and_not_tried_again() {
    let world = stack().wants("web", "nginx:1").checked("web").wants("api", "api:1");
    let mut world = world.converge().push("api", "crash", "r2").push("web", "nginx:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    api.1: hold: waits for image crash
    web.1: hold: waits for image crash
    --
    api.1: replace: image api:1 -> crash (compose.yaml:7:12)
    web.1: replace: image nginx:1 -> nginx:2 (compose.yaml:7:12)
    --
    api.1: hold: in progress: it is being prepared
    web.1: hold: in progress: it is being prepared
    --
    api.1: replace: image api:1 -> crash (compose.yaml:7:12)
    web.1: hold: waits for web to be available
    --
    api.1: hold: in progress: its predecessor is being stopped
    web.1: hold: waits for web to be available
    --
    api.1: replace: image api:1 -> crash (compose.yaml:7:12)
    web.1: hold: waits for web to be available
    --
    api.1: hold: waits for api to be available
    web.1: hold: waits for web to be available
    --
    api.1: remove: failed: api.1 exited (1) 3 times
    web.1: remove: failed: api.1 exited (1) 3 times
    --
    api.1: hold: in progress: it is being removed
    web.1: hold: in progress: it is being removed
    --
    api.1: start: failed: api.1 exited (1) 3 times
    web.1: hold: revision r2 is known bad: api.1 exited (1) 3 times
    --
    api.1: hold: in progress: it is being prepared
    web.1: hold: revision r2 is known bad: api.1 exited (1) 3 times
    --
    api.1: hold: revision r2 is known bad: api.1 exited (1) 3 times
    web.1: hold: revision r2 is known bad: api.1 exited (1) 3 times
    ");
    assert_eq!(world.running(), "shop-api-1=api:1 shop-web-1=nginx:1");
    assert!(matches!(&world.learned[..], [.., Learned::Failed { .. }]));
    // The same again is not tried, another is.
    let world = world.converge();
    assert_eq!(world.running(), "shop-api-1=api:1 shop-web-1=nginx:1");
    let world = world.push("api", "api:2", "r3").converge();
    assert_eq!(world.running(), "shop-api-1=api:2 shop-web-1=nginx:2");
}

#[test]
fn a_first_revision_that_fails_is_left_to_look_at() {
    let mut world = stack().wants("web", "crash");
    insta::assert_snapshot!(world.story(), @r"
    --
    web.1: hold: waits for image crash
    --
    web.1: start: not running
    --
    web.1: hold: in progress: it is being prepared
    --
    web.1: hold: waits for web to be available
    --
    web.1: hold: failed: exited (1) 3 times
    --
    web.1: hold: waits for web to be available
    --
    web.1: hold: failed: exited (1) 4 times
    --
    web.1: hold: failed: crashed 3 times
    ");
    assert!(world.standing.bad.contains_key(&world.desired.hash));
}

#[test]
fn data_is_never_killed_for_being_late() {
    let world = stack().wants("db", "pg:1").with_data("db").checked("db");
    let world = world.converge().push("db", "sick", "r2").converge();
    insta::assert_snapshot!(world.shown(), @"db.1: hold: failed: not healthy after 120 s");
    assert_eq!(world.running(), "shop-db-1=sick");
    assert!(world.standing.bad.is_empty());
}

#[test]
fn limits_change_in_place() {
    let world = stack().wants("web", "nginx:1").converge();
    let before = world.node.seen.tasks[0].id.clone();
    let world = world.edit("web", |s| s.spec.mem_limit = Some(64 << 20));
    insta::assert_snapshot!(world.shown(), @"web.1: update: mem_limit unset -> 64MiB");
    let world = world.converge();
    assert_eq!(world.node.seen.tasks[0].id, before);
}

#[test]
fn a_check_that_is_changed_in_place_has_to_agree() {
    for data in [false, true] {
        let world = stack().wants("web", "nginx:1").checked("web");
        let world = if data { world.with_data("web") } else { world };
        let world = world.converge();
        let before = world.node.seen.tasks[0].id.clone();
        let mut world = world.edit("web", |s| {
            s.spec.healthcheck.as_mut().unwrap().test = HealthTest::Shell("false".into());
        });
        world.desired.revision = "r2".into();
        insta::allow_duplicates! {
            insta::assert_snapshot!(world.story(), @r#"
            --
            web.1: update: healthcheck {"shell":"true"} -> {"shell":"false"}
            --
            web.1: hold: waits for web to be available
            --
            web.1: update: healthcheck {"shell":"false"} -> {"shell":"true"}
            --
            web.1: hold: waits for web to be available
            --
            web.1: hold: revision r2 is known bad: web.1 not healthy after 120 s
            "#);
        }
        assert!(matches!(&world.learned[..], [.., Learned::Failed { .. }]));
        assert_eq!(world.node.seen.tasks[0].id, before, "nothing was replaced");
        assert_eq!(world.node.seen.tasks[0].health, keel_engine::Health::Healthy);
        assert!(world.standing.bad.contains_key(&world.desired.hash));
        // One that agrees is good, and then nothing is watched any more.
        let world = world.edit("web", |s| {
            s.spec.healthcheck.as_mut().unwrap().test = HealthTest::Shell("exit 0".into());
        });
        let world = world.converge();
        assert_eq!(world.standing.good.as_ref(), Some(&world.desired.hash));
        assert!(world.standing.changed.is_empty());
    }
}

#[test]
fn a_check_changed_in_place_is_waited_for() {
    let world = stack().wants("web", "nginx:1").checked("web").converge();
    let mut world = world.edit("web", |s| {
        s.spec.healthcheck.as_mut().unwrap().test = HealthTest::Shell("exit 0".into());
    });
    insta::assert_snapshot!(world.story(), @r#"
    --
    web.1: update: healthcheck {"shell":"true"} -> {"shell":"exit 0"}
    --
    web.1: hold: waits for web to be available
    --
    web.1: hold: converged
    "#);
}

#[test]
fn a_label_changed_in_place_says_nothing_of_health() {
    let world = stack().wants("web", "sick").checked("web").converge();
    assert!(world.standing.bad.contains_key(&world.desired.hash));
    let world = stack().wants("web", "nginx:1").checked("web").converge();
    let mut world = world.edit("web", |s| {
        s.spec.labels.insert("note".into(), "x".into());
    });
    world.node.named("shop-web-1").health = keel_engine::Health::Unhealthy;
    let world = world.converge();
    assert_eq!(world.standing.good.as_ref(), Some(&world.desired.hash));
}

#[test]
fn scaling_takes_the_highest_slots() {
    let world = stack().wants("web", "nginx:1").edit("web", |s| s.replicas = 3).converge();
    let world = world.edit("web", |s| s.replicas = 1);
    insta::assert_snapshot!(world.shown(), @r"
    web.1: hold: converged
    web.2: remove: 1 task desired
    web.3: remove: 1 task desired
    ");
}

#[test]
fn services_that_swap_their_ports_come_to_an_end() {
    let ports = |a, b| {
        move |world: crate::world::World| {
            let world = world.edit("a", |s| s.spec.ports = vec![port(a)]);
            world.edit("b", |s| s.spec.ports = vec![port(b)])
        }
    };
    let world = stack().wants("a", "x:1").checked("a").wants("b", "x:1").checked("b");
    let world = ports(1, 2)(world).converge();
    let world = ports(2, 1)(world).converge();
    assert_eq!(world.running(), "shop-a-1=x:1 shop-b-1=x:1");
}

#[test]
fn a_newer_push_overtakes() {
    let world = stack().wants("web", "nginx:1").checked("web").converge();
    let mut world = world.push("web", "nginx:2", "r2");
    for _ in 0..4 {
        world.step();
    }
    let world = world.push("web", "nginx:3", "r3").converge();
    assert_eq!(world.running(), "shop-web-1=nginx:3");
}

/// However far the first push came: the second has to prove what it takes over.
#[test]
fn what_an_overtaken_push_left_unproven_is_judged_by_the_next() {
    for is_checked in [false, true] {
        for steps in 1..=20 {
            let world = stack().wants("web", "nginx:1").wants("api", "api:1");
            let world = if is_checked { world.checked("web") } else { world };
            let mut world = world.converge().push("web", "crash", "r2");
            for _ in 0..steps {
                world.step();
            }
            let world = world.push("api", "api:2", "r3").converge();
            let what = format!("checked: {is_checked}, after {steps} steps: {:?}", world.learned);
            assert_eq!(world.running(), "shop-api-1=api:1 shop-web-1=nginx:1", "{what}");
            let bad = world.standing.bad.get(&world.desired.hash);
            assert_eq!(bad.map(|bad| bad.revision.as_str()), Some("r3"), "{what}");
        }
    }
}

/// Every two seconds another push; what the slot holds after each.
fn pushes(mut world: crate::world::World, images: &[&str]) -> (String, crate::world::World) {
    let mut story = String::new();
    for (number, image) in images.iter().enumerate() {
        world = world.push("web", image, &format!("r{}", number + 2));
        for _ in 0..6 {
            world.step();
        }
        let live = world.node.seen.tasks.iter().filter(|task| task.goal != Goal::Removed);
        let live: Vec<_> =
            live.map(|task| format!("{} {:?}", task.spec.image, task.phase)).collect();
        assert!(live.len() <= 2, "{live:?}");
        let mut live = live;
        live.sort();
        story += &format!("{}\n", live.join(", "));
    }
    (story, world)
}

#[test]
fn pushes_within_the_settle_time_leave_one_old_and_one_new_task() {
    let start = || stack().wants("web", "nginx:1").checked("web").converge();
    let first = start().node.seen.tasks[0].id.clone();
    let (story, world) = pushes(start(), &["nginx:2", "nginx:3", "nginx:4"]);
    insta::assert_snapshot!(story, @r"
    nginx:1 Running, nginx:2 Running
    nginx:1 Running, nginx:3 Running
    nginx:1 Running, nginx:4 Running
    ");
    assert_eq!(world.converge().running(), "shop-web-1=nginx:4");
    // What fails comes back to what was good, without a new container.
    let (story, world) = pushes(start(), &["nginx:2", "sick", "crash"]);
    insta::assert_snapshot!(story, @r"
    nginx:1 Running, nginx:2 Running
    nginx:1 Running, sick Running
    crash Backoff, nginx:1 Running
    ");
    let world = world.converge();
    assert_eq!(
        (world.running().as_str(), &world.node.seen.tasks[0].id),
        ("shop-web-1=nginx:1", &first)
    );
}

#[test]
fn pushes_of_what_stops_first_leave_one_old_task_too() {
    let start = || stack().wants("web", "nginx:1").with_data("web").converge();
    let (story, world) = pushes(start(), &["nginx:2", "nginx:3", "crash"]);
    insta::assert_snapshot!(story, @r"
    nginx:1 Exited, nginx:2 Running
    nginx:1 Exited, nginx:3 Running
    crash Backoff, nginx:1 Exited
    ");
    assert_eq!(world.converge().running(), "shop-web-1=nginx:1");
}

#[test]
fn what_is_of_use_stays_though_it_never_settled() {
    let mut world = stack().wants("web", "nginx:1").checked("web").converge();
    world.node.named("shop-web-1").health = keel_engine::Health::Unhealthy;
    let (story, world) = pushes(world, &["nginx:2", "nginx:3"]);
    insta::assert_snapshot!(story, @r"
    nginx:1 Running, nginx:2 Running
    nginx:2 Running, nginx:3 Running
    ");
    assert_eq!(world.converge().running(), "shop-web-1=nginx:3");
}

#[test]
fn tasks_that_piled_up_before_go() {
    let mut world = stack().wants("web", "nginx:1").checked("web").converge();
    world = world.push("web", "nginx:2", "r2");
    for _ in 0..6 {
        world.step();
    }
    let mut third = world.node.named("shop-web-1").clone();
    third.id = keel_engine::TaskId::from_seed("third");
    third.created += 1;
    std::sync::Arc::make_mut(&mut third.spec).image = "nginx:9".into();
    world.node.seen.tasks.push(third.into());
    insta::assert_snapshot!(world.shown(), @"web.1: remove: superseded by a newer revision");
}

#[test]
fn whoever_shares_a_namespace_follows() {
    let world = stack().wants("vpn", "vpn:1").wants("app", "app:1").edit("app", |s| {
        s.spec.network_mode = keel_engine::NetworkMode::Service("vpn".into());
        s.spec.networks.clear();
    });
    let mut world = world.converge().push("vpn", "vpn:2", "r2");
    insta::assert_snapshot!(world.story(), @r"
    --
    app.1: hold: converged
    vpn.1: hold: waits for image vpn:2
    --
    app.1: hold: converged
    vpn.1: replace: image vpn:1 -> vpn:2 (compose.yaml:7:12)
    --
    app.1: hold: converged
    vpn.1: hold: in progress: it is being prepared
    --
    app.1: hold: converged
    vpn.1: replace: image vpn:1 -> vpn:2 (compose.yaml:7:12)
    --
    app.1: hold: converged
    vpn.1: hold: in progress: its predecessor is being stopped
    --
    app.1: hold: converged
    vpn.1: replace: image vpn:1 -> vpn:2 (compose.yaml:7:12)
    --
    app.1: replace: follows vpn
    vpn.1: hold: waits for vpn to be available
    --
    app.1: hold: in progress: its predecessor is being stopped
    vpn.1: hold: waits for vpn to be available
    --
    app.1: replace: follows vpn
    vpn.1: hold: waits for vpn to be available
    --
    app.1: hold: in progress: it is being prepared
    vpn.1: hold: waits for vpn to be available
    --
    app.1: hold: waits for app to be available
    vpn.1: hold: waits for vpn to be available
    --
    app.1: hold: waits for app to be available
    vpn.1: remove: its successor is available
    --
    app.1: hold: waits for app to be available
    vpn.1: hold: converged
    --
    app.1: remove: its successor is available
    vpn.1: hold: converged
    --
    app.1: hold: converged
    vpn.1: hold: converged
    ");
    let vpn = world.node.named("shop-vpn-1").id.clone();
    assert_eq!(world.node.named("shop-app-1").joins, Some(vpn));
}

#[test]
fn a_moved_tag_replaces_once_and_only_when_asked() {
    let mut world = stack().wants("web", "nginx:1").converge();
    let moved = keel_engine::Digest::of(b"moved");
    std::sync::Arc::make_mut(&mut world.node.seen.images[0]).digest = Some(moved);
    insta::assert_snapshot!(world.shown(), @"web.1: hold: converged");
    world.asked.resolve = true;
    insta::assert_snapshot!(world.shown(), @"web.1: replace: the tag now points to another image: ea996a051ac1 -> 5edd1832df25");
    let world = world.converge();
    assert_eq!(world.standing.pins["nginx:1"], moved);
    assert_eq!(world.running(), "shop-web-1=nginx:1");
}

#[test]
fn recreate_replaces_each_task_once() {
    let mut world = stack().wants("web", "nginx:1").converge();
    let before = world.node.named("shop-web-1").id.clone();
    world.asked.recreate = true;
    let mut world = world.converge();
    assert_ne!(world.node.named("shop-web-1").id, before);
    assert!(world.plan().standing.recreate.is_empty());
}

#[test]
fn a_network_is_made_anew_once_nobody_is_on_it() {
    let mut world = stack().wants("web", "nginx:1").converge();
    world.desired.networks.get_mut("shop_default").unwrap().spec.internal = true;
    let mut told = std::collections::BTreeSet::new();
    while !world.step() {
        told.extend(
            world.all().lines().filter(|line| line.starts_with("network")).map(str::to_owned),
        );
    }
    let replaced = "network shop_default    replace: internal unset -> true";
    assert!(told.contains(replaced), "{told:#?}");
    let world = world.converge();
    assert!(world.node.seen.networks[0].spec.internal);
    assert_eq!(world.running(), "shop-web-1=nginx:1");
}

#[test]
fn the_labels_of_a_network_change_under_its_tasks() {
    let mut world = stack().wants("web", "nginx:1").converge();
    let before = world.node.seen.tasks[0].id.clone();
    let labels = &mut world.desired.networks.get_mut("shop_default").unwrap().spec.labels;
    labels.insert("team".into(), "blue".into());
    let told = world.all();
    assert!(told.contains("network shop_default    update: labels +team=blue"), "{told}");
    let world = world.converge();
    assert_eq!(world.node.seen.networks[0].spec.labels["team"], "blue");
    assert_eq!(world.node.seen.tasks[0].id, before);
}

#[test]
fn a_node_whose_clock_is_behind_is_judged_like_any_other() {
    let mut world = stack().wants("web", "nginx:1").converge();
    world.tick(7_200_000);
    world = world.push("web", "crash:2", "r2");
    let noon = world.node.seen.at;
    for _ in 0..60 {
        world.step();
        for task in &mut world.node.seen.tasks {
            let task = std::sync::Arc::make_mut(task);
            // An hour behind the controller's.
            if task.created >= noon {
                task.created -= 3_600_000;
            }
        }
    }
    assert_eq!(world.running(), "shop-web-1=nginx:1", "{}", world.shown());
    assert!(world.standing.bad.contains_key(&world.desired.hash));
}

/// What has ended and is to run comes back with its machine: before another one writes to its data it is told.
#[test]
fn who_writes_to_the_same_data_is_told_to_stop_although_it_has_ended() {
    let mut world = stack().wants("db", "pg:1").with_data("db").converge().push("db", "pg:2", "r2");
    while !world.node.seen.tasks.iter().any(|task| task.phase == Phase::Ready) {
        world.step();
    }
    let now = world.node.seen.at;
    let old = world.node.seen.tasks.iter_mut().find(|task| task.spec.image == "pg:1").unwrap();
    let old = std::sync::Arc::make_mut(old);
    (old.phase, old.exit_code, old.finished) = (Phase::Exited, Some(137), Some(now));
    old.exit_cause = Some(ExitCause::KilledFromOutside);
    let told: Vec<_> = world
        .plan()
        .wishes()
        .filter_map(|wish| match &wish.what {
            Assignment::Task(task) => Some(format!("{} {:?}", task.spec.image, task.goal)),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["pg:1 Stopped"]);
    assert_eq!(world.converge().running(), "shop-db-1=pg:2");
}
