//! The gate of a rollout: what has to be ready before anything old stops, and what is no failure.

use crate::world::{port, stack};

#[test]
fn what_cannot_be_made_ready_stops_nothing_and_blames_no_revision() {
    for data in [true, false] {
        let world = stack().wants("web", "nginx:1").checked("web");
        let world = if data { world.with_data("web") } else { world };
        let mut world = world.converge().push("web", "stuck", "r2");
        (0..200).for_each(|_| _ = world.step());
        insta::allow_duplicates! {
            insta::assert_snapshot!(world.shown(), @"web.1: hold: failed: port 80/tcp is taken");
        }
        assert_eq!(world.running(), "shop-web-1=nginx:1");
        assert!(world.standing.bad.is_empty() && world.standing.rollout.is_some());
        let world = world.push("web", "nginx:3", "r3").converge();
        assert_eq!(world.running(), "shop-web-1=nginx:3");
        assert!(world.standing.bad.is_empty());
    }
}

#[test]
fn a_newer_push_overtakes_what_is_only_ready() {
    let mut world = stack().wants("web", "nginx:1").with_data("web").converge();
    let first = world.node.seen.tasks[0].id.clone();
    world = world.push("web", "stuck", "r2");
    (0..9).for_each(|_| _ = world.step());
    let mut world = world.push("web", "stuck too", "r3");
    (0..9).for_each(|_| _ = world.step());
    let held: Vec<_> = world.node.seen.tasks.iter().map(|task| task.spec.image.as_str()).collect();
    assert!(
        held.len() == 2 && held.contains(&"nginx:1") && held.contains(&"stuck too"),
        "{held:?}"
    );
    let back = world.push("web", "nginx:1", "r4").converge();
    assert_eq!(back.node.seen.tasks[0].id, first, "it never stopped");
    assert_eq!(back.node.seen.tasks.len(), 1);
}

#[test]
fn a_revision_that_failed_stays_where_the_policy_says_so() {
    let world = stack().wants("web", "nginx:1").checked("web").wants("api", "api:1");
    let mut world = world.after("api", "web", keel_plan::desired::Condition::Healthy).converge();
    world.desired.policy.rollback = false;
    let mut world = world.push("web", "sick", "r2").push("api", "api:2", "r2");
    (0..200).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    api.1: hold: revision r2 is known bad: web.1 not healthy after 120 s
    web.1: hold: failed: not healthy after 120 s
    ");
    let notes =
        keel_plan::text::of_notes(&keel_plan::status::status(&world.inputs(&world.nodes())).notes);
    insta::assert_debug_snapshot!(notes, @r#"
    [
        "revision r2 failed: web.1 not healthy after 120 s; it stays, by `rollback: false`",
    ]
    "#);
    assert!(world.standing.bad.contains_key(&world.desired.hash));
    let world = world.push("web", "nginx:3", "r3").converge();
    assert_eq!(world.running(), "shop-api-1=api:2 shop-web-1=nginx:3");
}

#[test]
fn volumes_go_by_policy_alone_and_only_once_the_revision_without_them_is_good() {
    let mut world = stack().wants("web", "nginx:1").with_data("web").converge();
    world.desired.volumes.clear();
    let without = |s: &mut keel_plan::desired::DesiredService| s.spec.volumes.clear();
    let world = world.edit("web", without).converge();
    assert_eq!(world.node.seen.volumes.len(), 1, "data stays");

    let mut world = stack().wants("web", "nginx:1").checked("web").with_data("web");
    world.desired.policy.prune_volumes = true;
    let mut world = world.converge();
    world.desired.volumes.clear();
    let world = world.edit("web", without).push("web", "crash", "r2").converge();
    assert_eq!(world.node.seen.volumes.len(), 1, "the good revision came back, and needs it");
    assert_eq!(world.running(), "shop-web-1=nginx:1");
    let mut world = world.push("web", "nginx:3", "r3");
    (0..9).for_each(|_| _ = world.step());
    let all = world.all();
    assert!(all.contains("kept: it goes once this revision is good"), "{all}");
    let mut world = world.converge();
    (0..3).for_each(|_| _ = world.step());
    assert!(world.node.seen.volumes.is_empty(), "{}", world.all());
}

#[test]
fn services_of_one_revision_are_ready_together_or_none_stops() {
    let world = stack().wants("web", "nginx:1").wants("api", "api:1").converge();
    let mut world = world.push("web", "stuck", "r2").push("api", "api:2", "r2");
    (0..20).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    api.1: hold: waits for web to be ready
    web.1: hold: in progress: port 80/tcp is taken
    ");
    (0..120).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    api.1: hold: failed: waits for web.1: port 80/tcp is taken
    web.1: hold: failed: port 80/tcp is taken
    ");
    assert_eq!(world.running(), "shop-api-1=api:1 shop-web-1=nginx:1");
    let world = world.push("web", "nginx:2", "r3").converge();
    assert_eq!(world.running(), "shop-api-1=api:2 shop-web-1=nginx:2");
}

#[test]
fn a_port_of_another_stack_holds_the_whole_revision_and_is_looked_at_again() {
    let world = stack().wants("web", "nginx:1").wants("api", "api:1").converge();
    let mut world = world.push("api", "api:2", "r2").edit("web", |s| s.spec.ports = vec![port(80)]);
    let mut other = stack().wants("x", "x:1").edit("x", |s| s.spec.ports = vec![port(80)]);
    other = other.converge();
    let mut task = other.node.seen.tasks[0].clone();
    let stack_name = keel_engine::StackName::new("other").unwrap();
    let slot = keel_engine::Slot { stack: stack_name, service: "x".into(), slot: "1".into() };
    std::sync::Arc::make_mut(&mut task).place = keel_engine::Place::Slot(slot);
    world.node.seen.tasks.push(task);
    (0..9).for_each(|_| _ = world.step());
    insta::assert_snapshot!(world.shown(), @r"
    api.1: hold: failed: waits for web.1: port 80:80/tcp is taken by shop-x-1; publish another one, or stop shop-x-1
    web.1: hold: failed: port 80:80/tcp is taken by shop-x-1; publish another one, or stop shop-x-1
    ");
    assert!(world.plan().wake.is_some());
    assert_eq!(world.running(), "shop-api-1=api:1 shop-web-1=nginx:1 shop-x-1=x:1");
    world.node.seen.tasks.retain(|task| task.spec.container_name != "shop-x-1");
    assert_eq!(world.converge().running(), "shop-api-1=api:2 shop-web-1=nginx:1");
}

#[test]
fn what_was_stopped_for_an_overtaken_revision_serves_while_the_newest_one_waits() {
    let at = |seconds: usize| {
        let mut world = stack().served().wants("web", "nginx:1").with_data("web").converge();
        world = world.push("web", "nginx:2", "r2").wants("api", "api:1");
        (0..seconds).for_each(|_| _ = world.step());
        // In the middle of it, one that waits for an image; web is as in r2.
        world.node.unknown = vec!["later".into()];
        let mut world = world.push("api", "later", "r3");
        (0..30).for_each(|_| _ = world.step());
        assert!(world.running().contains("shop-web-1=nginx:"), "{seconds}: {}", world.all());
        world.node.unknown.clear();
        assert_eq!(world.converge().running(), "shop-api-1=later shop-web-1=nginx:2");
    };
    (1..12).for_each(at);
}

#[test]
fn what_is_killed_while_its_successor_waits_is_started_again() {
    let mut world = stack().served().wants("web", "nginx:1").converge();
    world.node.unknown = vec!["later".into()];
    let mut world = world.push("web", "later", "r2");
    (0..5).for_each(|_| _ = world.step());
    let task = world.node.named("shop-web-1");
    (task.phase, task.exit_cause) =
        (keel_engine::Phase::Exited, Some(keel_engine::ExitCause::KilledFromOutside));
    insta::assert_snapshot!(world.shown(), @"web.1: start: its successor cannot begin yet");
    (0..5).for_each(|_| _ = world.step());
    assert_eq!(world.running(), "shop-web-1=nginx:1");
}
