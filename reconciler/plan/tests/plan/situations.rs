//! One table of situations: what becomes of a slot.

use crate::node::Node;
use crate::world::{World, stack};
use keel_engine::{ExitCause, Phase};
use keel_plan::desired::{Held, Owner};
use keel_plan::standing::{AskVerb, Suspended};

fn running() -> World {
    stack().wants("web", "nginx:1").converge()
}

fn with(change: impl FnOnce(&mut World)) -> World {
    let mut world = running();
    change(&mut world);
    world
}

fn ended(node: &mut Node, code: i32, cause: ExitCause) {
    let task = node.named("shop-web-1");
    (task.phase, task.exit_code, task.exit_cause) = (Phase::Exited, Some(code), Some(cause));
    (task.started, task.finished) = (Some(0), Some(900_000));
}

#[test]
fn every_slot_gets_one_verdict() {
    let no_restart = || running().edit("web", |s| s.spec.restart = Default::default()).converge();
    let suspended = Suspended { by: "ada@laptop".into(), since: 1, reason: None };
    let held = Held { field: "build".into(), why: "images are not built".into(), at: None };
    let cases = [
        ("dull", running()),
        ("its image changed", running().push("web", "nginx:2", "r2")),
        (
            "a variable changed",
            running().edit("web", |s| {
                s.spec.environment.insert("PASSWORD".into(), Some("hush".into()));
            }),
        ),
        ("left the source", running().without("web")),
        ("left the source, prune off", with(|w| w.desired.policy.prune = false).without("web")),
        ("stopped by a person", with(|w| _ = w.standing.stopped.insert("web.1".into()))),
        ("restarted by a person", with(|w| w.asks("shop-web-1", AskVerb::Restart))),
        ("suspended", with(|w| w.standing.suspended = Some(suspended)).push("web", "n:2", "r2")),
        ("somebody else's", with(|w| w.owner = Some(Owner::Cli { path: "/else".into() }))),
        (
            "held",
            with(|w| {
                w.desired.services.get_mut("web").unwrap().held = vec![held];
            }),
        ),
        ("another service was asked for", {
            let mut world = running().wants("api", "api:1");
            world.asked.services = vec!["web".into()];
            world
        }),
        ("killed from outside", {
            let mut world = no_restart();
            ended(&mut world.node, 137, ExitCause::KilledFromOutside);
            world
        }),
        ("ended with a failure, restart: no", {
            let mut world = no_restart();
            ended(&mut world.node, 3, ExitCause::Own);
            world
        }),
        ("out of memory", {
            let mut world = no_restart();
            ended(&mut world.node, 137, ExitCause::OutOfMemory);
            world
        }),
        ("the machine went down", {
            let mut world = no_restart();
            ended(&mut world.node, 255, ExitCause::Interrupted);
            world
        }),
    ];
    let text: String =
        cases.iter().map(|(name, case)| format!("# {name}\n{}", case.shown())).collect();
    insta::assert_snapshot!(text, @r"
    # dull
    web.1: hold: converged
    # its image changed
    web.1: hold: waits for image nginx:2
    # a variable changed
    web.1: replace: environment +PASSWORD
    # left the source
    web.1: remove: it is not in the source any more
    # left the source, prune off
    web.1: hold: kept: it is not in the source, but prune is off
    # stopped by a person
    web.1: stop: asked for by `keel stop`
    # restarted by a person
    web.1: restart: asked for by `keel restart`
    # suspended
    web.1: hold: suspended by ada@laptop
    # somebody else's
    web.1: hold: belongs to cli (/else)
    # held
    web.1: hold: not run yet: `build`: images are not built
    # another service was asked for
    api.1: hold: kept: it is not among the services asked for
    web.1: hold: converged
    # killed from outside
    web.1: heal: process was running, is exited (137) (killed from outside)
    # ended with a failure, restart: no
    web.1: hold: failed: exited (3) and its policy is `restart: no`
    # out of memory
    web.1: hold: failed: ran out of its memory limit and its policy is `restart: no`
    # the machine went down
    web.1: start: it exited (255)
    ");
}

#[test]
fn a_person_s_stop_lasts_until_they_start_it() {
    let mut world = running();
    world.standing.stopped.insert("web.1".into());
    let mut world = world.converge();
    assert_eq!(world.running(), "");
    let world = {
        world = world.push("web", "nginx:2", "r2").converge();
        assert_eq!(world.running(), "", "a push does not lift it");
        world.standing.stopped.clear();
        world.converge()
    };
    assert_eq!(world.running(), "shop-web-1=nginx:2");
}

#[test]
fn a_restart_is_the_same_task_run_again_once() {
    let mut world = running();
    let before = world.node.named("shop-web-1").clone();
    world.asks("shop-web-1", AskVerb::Restart);
    let mut world = world.converge();
    let after = world.node.named("shop-web-1").clone();
    assert_eq!(before.id, after.id);
    assert!(after.started > before.started && after.generation > before.generation);
    assert!(world.standing.asks.is_empty());
}

#[test]
fn a_suspended_stack_still_obeys_stop_and_start() {
    let mut world = running();
    world.standing.suspended = Some(Suspended { by: "ada".into(), since: 1, reason: None });
    world.standing.stopped.insert("web.1".into());
    let mut world = world.converge();
    assert_eq!(world.running(), "");
    world.standing.stopped.clear();
    let world = world.converge();
    assert_eq!(world.running(), "shop-web-1=nginx:1");
}

#[test]
fn no_value_of_a_variable_is_shown() {
    let world = running().edit("web", |s| {
        s.spec.environment.insert("PASSWORD".into(), Some("hush".into()));
    });
    let rows = serde_json::to_string_pretty(&keel_plan::text::rows(&world.plan())).unwrap();
    assert!(rows.contains("+PASSWORD") && !rows.contains("hush"), "{rows}");
}

#[test]
fn differences_read_like_the_file() {
    let digest = |text: &str| keel_engine::Digest::of(text.as_bytes());
    let file = |content: &str| keel_engine::FileMount {
        name: "site".into(),
        digest: digest(content),
        target: "/etc/site".into(),
        uid: 0,
        gid: 0,
        mode: None,
    };
    let world = running().edit("web", |s| {
        s.spec.configs = vec![file("a")];
        s.spec.ports = vec![crate::world::port(80)];
    });
    let world = world.converge().edit("web", |s| {
        s.spec.configs = vec![file("b")];
        s.spec.ports = vec![crate::world::port(81)];
        s.spec.command = Some(vec!["serve".into(), "-v".into()]);
        s.spec.labels.insert("tier".into(), "front".into());
    });
    insta::assert_snapshot!(world.shown(), @"web.1: replace: command unset -> [serve, -v], configs -/etc/site@ca978112 +/etc/site@3e23e816, ports -80:80/tcp +81:80/tcp, labels +tier=front");
}
