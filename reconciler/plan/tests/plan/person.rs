//! What people ask of single tasks, and who follows.

use crate::world::{World, stack};
use keel_engine::{ExitCause, NetworkMode, Phase};
use keel_plan::desired::Condition;
use keel_plan::standing::{Ask, AskVerb, Suspended};

/// A VPN, an app in its network, and a service that has nothing to do with them.
fn vpn() -> World {
    let world = stack().wants("vpn", "vpn:1").wants("app", "app:1").wants("web", "web:1");
    let joins = |world: World| {
        world.edit("app", |service| {
            service.spec.networks.clear();
            service.spec.network_mode = NetworkMode::Service("vpn".into());
        })
    };
    joins(world).after("app", "vpn", Condition::Started).converge()
}

/// A database, and who asked to be restarted with it.
fn restarts() -> World {
    let world = stack().wants("db", "pg:1").wants("api", "api:1").wants("web", "web:1");
    let world =
        world.after("api", "db", Condition::Started).after("web", "api", Condition::Started);
    let asks = |world: World, name: &str| world.edit(name, |s| s.depends_on[0].restart = true);
    asks(asks(world, "api"), "web").converge()
}

fn runs(world: &mut World, name: &str) -> (Option<u64>, u64) {
    let task = world.node.named(name);
    (task.started, task.created)
}

#[test]
fn what_a_person_asks_is_done_once_and_moves_nothing_else() {
    for verb in [AskVerb::Restart, AskVerb::Stop, AskVerb::Kill, AskVerb::Start] {
        let mut world = restarts().push("web", "web:2", "r2");
        world.asked.people_only = true;
        let before = runs(&mut world, "shop-web-1");
        world.asks("shop-db-1", verb);
        for _ in 0..5 {
            world.asked.people_only = true;
            world.step();
        }
        assert!(world.standing.rollout.is_none(), "{verb:?}: the push is for a pass");
        assert_eq!(world.node.seen.tasks.len(), 3);
        if verb != AskVerb::Restart {
            assert_eq!(runs(&mut world, "shop-web-1"), before, "{verb:?}");
        }
        assert!(world.standing.asks.is_empty(), "{verb:?}: {:?}", world.standing.asks);
    }
}

#[test]
fn a_wish_that_never_came_is_sent_again() {
    let mut world = restarts();
    world.asks("shop-db-1", AskVerb::Restart);
    let before = runs(&mut world, "shop-db-1");
    // Recorded, and whoever was to send it died.
    world.standing = world.plan().standing;
    assert!(world.standing.asks.values().any(|ask| ask.given.is_some()));
    let mut world = world.converge();
    assert!(runs(&mut world, "shop-db-1") > before);
    assert!(world.standing.asks.is_empty());
}

#[test]
fn who_asked_for_it_is_restarted_after_what_it_depends_on_and_others_after_it() {
    let mut world = restarts();
    let before = ["db", "api", "web"].map(|name| runs(&mut world, &format!("shop-{name}-1")));
    world.asks("shop-db-1", AskVerb::Restart);
    insta::assert_snapshot!(world.story(), @r"
    --
    api.1: hold: converged
    db.1: restart: asked for by `keel restart`
    web.1: hold: converged
    --
    api.1: restart: follows db
    db.1: hold: converged
    web.1: hold: converged
    --
    api.1: hold: converged
    db.1: hold: converged
    web.1: restart: follows api
    --
    api.1: hold: converged
    db.1: hold: converged
    web.1: hold: converged
    ");
    let after = ["db", "api", "web"].map(|name| runs(&mut world, &format!("shop-{name}-1")));
    assert!(after.iter().zip(&before).all(|(after, before)| after.0 > before.0));
    assert!(after[0].0 < after[1].0 && after[1].0 < after[2].0, "one after the other: {after:?}");
    assert!(world.standing.asks.is_empty());
}

#[test]
fn a_follower_waits_until_what_it_follows_is_healthy() {
    let mut world = restarts().checked("db").converge();
    world.asks("shop-db-1", AskVerb::Restart);
    world.step();
    let before = runs(&mut world, "shop-api-1");
    let db = world.node.named("shop-db-1");
    (db.phase, db.health) = (Phase::Draining, keel_engine::Health::None);
    world.pass();
    assert_eq!(runs(&mut world, "shop-api-1"), before);
    assert_eq!(world.standing.asks.len(), 1, "it is not forgotten");
    world.standing.stopped.insert("db.1".into());
    world.pass();
    assert!(world.standing.asks.is_empty(), "nobody waits for what a person stopped");
}

#[test]
fn a_stop_ends_a_restart_that_is_under_way() {
    let mut world = restarts();
    world.asks("shop-db-1", AskVerb::Restart);
    world.pass();
    world.asks("shop-db-1", AskVerb::Stop);
    world.standing.stopped.insert("db.1".into());
    let mut world = world.converge();
    assert_eq!(world.node.named("shop-db-1").phase, Phase::Exited);
}

#[test]
fn a_kill_reaches_what_is_being_stopped() {
    let mut world = restarts();
    world.standing.stopped.insert("db.1".into());
    world.pass();
    world.asks("shop-db-1", AskVerb::Kill);
    let plan = world.plan();
    let forced = plan.wishes().any(|wish| match &wish.what {
        keel_engine::Assignment::Task(task) => task.force && task.grace.is_none(),
        _ => false,
    });
    assert!(forced, "{}", world.shown());
}

#[test]
fn its_own_grace_is_no_change_of_the_specification() {
    let mut world = restarts();
    world.asks("shop-db-1", AskVerb::Stop);
    world.standing.asks.values_mut().for_each(|ask| ask.grace = Some(30_000));
    world.standing.stopped.insert("db.1".into());
    let graces: Vec<_> = world
        .plan()
        .wishes()
        .filter_map(|wish| match &wish.what {
            keel_engine::Assignment::Task(task) => Some((task.grace, task.spec.stop_grace_period)),
            _ => None,
        })
        .collect();
    assert_eq!(graces, [(Some(30_000), None)]);
    let mut world = world.converge();
    let spec = world.node.named("shop-db-1").spec.clone();
    assert!(keel_engine::diff(&spec, &restarts().node.named("shop-db-1").spec).is_empty());
}

#[test]
fn a_task_that_is_left_alone_joins_again_whatever_the_reason() {
    let suspended = Suspended { by: "ada".into(), since: 1, reason: None };
    for suspend in [None, Some(suspended)] {
        let mut world = vpn();
        world.standing.suspended = suspend;
        let before = runs(&mut world, "shop-app-1");
        world.node.named("shop-app-1").apart = true;
        insta::allow_duplicates!(insta::assert_snapshot!(
            world.shown().lines().next().unwrap(),
            @"app.1: restart: follows vpn"
        ));
        let mut world = world.converge();
        let after = runs(&mut world, "shop-app-1");
        assert!(after.0 > before.0 && after.1 == before.1, "the same task, run again");
    }
}

#[test]
fn it_waits_until_there_is_something_to_join() {
    let mut world = vpn();
    world.node.named("shop-app-1").apart = true;
    world.standing.stopped.insert("vpn.1".into());
    let mut world = world.converge();
    assert_eq!(world.node.named("shop-app-1").phase, Phase::Running);
    world.standing.stopped.clear();
    let mut world = world.converge();
    assert!(!world.node.named("shop-app-1").apart);
}

#[test]
fn a_replaced_one_is_followed_by_whom_it_was_not_asked_for() {
    let mut world = vpn();
    let before = world.node.named("shop-app-1").joins.clone();
    (world.asked.recreate, world.asked.services) = (true, vec!["vpn".into()]);
    let mut world = world.converge();
    let (vpn, app) = (world.node.named("shop-vpn-1").id.clone(), world.node.named("shop-app-1"));
    assert!(app.joins != before && app.joins == Some(vpn));
    let mut world = restarts();
    let before = runs(&mut world, "shop-api-1");
    (world.asked.recreate, world.asked.services) = (true, vec!["db".into()]);
    let mut world = world.converge();
    assert!(runs(&mut world, "shop-api-1") > before);
}

#[test]
fn what_stopped_while_its_host_was_replaced_starts_beside_the_new_one() {
    let mut world = vpn();
    world.standing.stopped.insert("app.1".into());
    let mut world = world.converge().push("vpn", "vpn:2", "r2").converge();
    let vpn = world.node.named("shop-vpn-1").id.clone();
    world.standing.stopped.clear();
    world.asks("shop-app-1", AskVerb::Start);
    let mut world = world.converge();
    assert_eq!(world.node.named("shop-app-1").joins, Some(vpn));
}

#[test]
fn what_a_decision_starts_again_is_followed_and_what_a_policy_does_is_not() {
    let mut world = restarts();
    let before = runs(&mut world, "shop-api-1");
    let db = world.node.named("shop-db-1");
    (db.phase, db.restarts, db.finished) = (Phase::Backoff, 1, Some(0));
    let mut world = world.converge();
    assert_eq!(runs(&mut world, "shop-api-1"), before, "its own policy");
    let at = world.node.seen.at;
    let db = world.node.named("shop-db-1");
    (db.phase, db.finished, db.exit_code) = (Phase::Exited, Some(at), Some(137));
    (db.exit_cause, db.restarts) = (Some(ExitCause::KilledFromOutside), 0);
    let mut world = world.converge();
    assert!(runs(&mut world, "shop-api-1") > before);
}

#[test]
fn what_is_gone_is_asked_nothing() {
    let mut world = restarts();
    let nobody = keel_engine::TaskId::from_seed("nobody");
    world.standing.asks.insert(nobody, Ask::of(AskVerb::Start));
    world.pass();
    assert!(world.standing.asks.is_empty());
}

#[test]
fn a_signal_that_a_person_sent_ends_it_as_its_policy_says() {
    for (restart, expected) in [
        (keel_engine::RestartPolicy::No, "db.1: hold: failed: exited (143)"),
        (keel_engine::RestartPolicy::OnFailure { max: 1 }, "db.1: hold: failed: exited (143)"),
        (keel_engine::RestartPolicy::Always, "db.1: start: it exited (143)"),
    ] {
        let mut world = restarts().edit("db", |s| s.spec.restart = restart).converge();
        let db = world.node.named("shop-db-1");
        (db.phase, db.exit_code, db.exit_cause) =
            (Phase::Exited, Some(143), Some(ExitCause::Stopped));
        (db.started, db.finished) = (Some(0), Some(100_000));
        assert!(world.shown().contains(expected), "{}", world.shown());
    }
}
