//! What people ask, with a running `serve` and without.

mod support;

use futures_util::StreamExt;
use keel_engine::{Goal, Open, Phase, TaskSpec};
use keel_reconciler::ask::{
    ConvergeAsk, DownAsk, Outcome, PlanTarget, RefusalKind, RunAsk, TaskAsk, TaskVerb,
};
use keel_reconciler::operation::OperationState;
use keel_reconciler::rows::{
    InspectKind, NetworkAsk, PsAsk, PullAsk, RemoveAsk, SuspendAsk, SyncAsk, VolumeAsk,
};
use keel_testing::fake::Behaviour;
use keel_testing::waiting::{Deadline, in_time};
use std::collections::BTreeMap;
use support::{World, stack, told, until};

const HELLO: &str = "\
services:
  web:
    image: nginx:1
    deploy: {replicas: 2}
  db:
    image: postgres:15
    volumes: [data:/data]
volumes:
  data:
";

fn world() -> World {
    let world = World::new();
    world.write("hello/compose.yaml", HELLO);
    world
}

fn ask(verb: TaskVerb, targets: &[&str]) -> TaskAsk {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    TaskAsk { targets, verb, timeout: None, again: false }
}

const ALL: [(&str, &str); 3] =
    [("hello-db-1", "postgres:15"), ("hello-web-1", "nginx:1"), ("hello-web-2", "nginx:1")];

#[tokio::test(flavor = "multi_thread")]
async fn up_and_down_without_a_daemon() {
    let world = world();
    let controller = world.command().await;
    let (steps, outcome, notes) = told(controller.converge(world.up("hello"))).await;
    assert_eq!((outcome, notes), (Outcome::Done, vec![]));
    for step in ["Network hello_default  Created", "Container hello-web-2  Started"] {
        assert!(steps.iter().any(|line| line == step), "{step} in {steps:?}");
    }
    world.until_running(&ALL).await;

    let (steps, outcome, _) = told(controller.converge(world.up("hello"))).await;
    assert_eq!(outcome, Outcome::Done, "again is nothing");
    let containers = ALL.map(|(name, _)| format!("Container {name}  Running"));
    assert_eq!(steps, containers, "as docker compose says it");

    let down = DownAsk { stack: stack("hello"), volumes: false, by_path: false };
    let (steps, outcome, notes) = told(controller.down(down.clone())).await;
    assert_eq!((outcome, notes), (Outcome::Done, vec![]));
    let db: Vec<_> =
        steps.iter().filter_map(|line| line.strip_prefix("Container hello-db-1  ")).collect();
    assert_eq!(db, ["Stopping", "Stopped", "Removing", "Removed"]);
    assert_eq!(steps.last().unwrap(), "Network hello_default  Removed");
    let seen = world.seen().await;
    assert!(seen.tasks.is_empty() && seen.networks.is_empty());
    assert_eq!(seen.volumes.len(), 1, "data stays");
    assert!(controller.status(&[]).await.unwrap().is_empty(), "it is forgotten");
    let (_, outcome, notes) = told(controller.down(down)).await;
    assert_eq!((outcome, notes), (Outcome::Done, vec![]), "nothing to do: its data is known yet");
    let mut never = DownAsk { stack: stack("never"), volumes: false, by_path: true };
    let (_, outcome, notes) = told(controller.down(never.clone())).await;
    assert_eq!((outcome, notes), (Outcome::Done, vec![]), "its files are there, and it is down");
    never.by_path = false;
    let (_, outcome, notes) = told(controller.down(never)).await;
    assert_eq!((outcome, notes[0].as_str()), (Outcome::Failed, "no such stack: never"));
}

#[tokio::test(flavor = "multi_thread")]
async fn down_takes_volumes_when_told_to() {
    let world = world();
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    told(controller.down(DownAsk { stack: stack("hello"), volumes: true, by_path: false })).await;
    assert!(world.seen().await.volumes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_fails_with_its_name() {
    let world = world();
    world.fake.behave("nginx:1", Behaviour::NoImage);
    let controller = world.command().await;
    let (_, outcome, notes) = told(controller.converge(world.up("hello"))).await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(notes.concat().contains("nginx:1"), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_what_fails_again_and_again_is_told_soon() {
    let world = world();
    world.fake.behave("nginx:1", Behaviour::Stuck);
    let controller = world.command().await;
    let (_, outcome, notes) = told(controller.converge(world.up("hello"))).await;
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(notes, ["web.1: port 80/tcp is taken", "web.2: port 80/tcp is taken"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn down_under_serve_holds_the_stack_off_visibly() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", HELLO);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&ALL).await;
    controller.tasks(ask(TaskVerb::Stop, &["hello/web.2"])).await.unwrap();
    let down =
        told(controller.down(DownAsk { stack: stack("hello"), volumes: false, by_path: false }))
            .await;
    assert_eq!((down.1, down.2), (Outcome::Done, vec![]));
    controller.hint_source("default").unwrap();
    let row = controller.status(&[]).await.unwrap().remove(0);
    assert!(row.suspended.as_deref().is_some_and(|held| held.starts_with("by keel down")));
    assert!(world.running().await.is_empty());
    controller.resume(&stack("hello")).await.unwrap();
    world.until_running(&ALL[..2]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_the_folder_that_is_served_now_is_taken_over_and_that_is_said() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", HELLO);
    let command = world.command().await;
    told(command.converge(world.up("stacks/hello"))).await;
    let before = world.task("hello-web-1").await.id;
    let controller = world.serve_folder("stacks").await;
    until("it is the source's", || async {
        controller.status(&[]).await.unwrap()[0].source == "default"
    })
    .await;
    let row = controller.status(&[]).await.unwrap().remove(0);
    let from = format!("cli ({})", world.path("stacks/hello").display());
    assert_eq!(row.taken_from.as_deref(), Some(from.as_str()));
    assert!(row.notes.contains(&format!("taken over from {from}")), "{:?}", row.notes);
    assert_eq!(world.task("hello-web-1").await.id, before, "nothing restarts for it");
    world.advance(25 * 60 * 60 * 1000);
    assert_eq!(controller.status(&[]).await.unwrap()[0].taken_from, None, "that is old news");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_owners_stack_is_refused_until_taken_over() {
    let world = world();
    world.write("stacks/hello/compose.yaml", HELLO);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&ALL).await;
    let (_, outcome, notes) = told(controller.converge(world.up("hello"))).await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(notes[0].contains("belongs to source default"), "{notes:?}");
    let mut take = world.up("hello");
    take.take_over = true;
    assert_eq!(told(controller.converge(take)).await.1, Outcome::Done);
    assert_eq!(controller.status(&[]).await.unwrap()[0].source, "cli");
    assert_eq!(told(controller.sync(SyncAsk::default())).await.1, Outcome::Failed);
    let back = SyncAsk { take_over: true, ..SyncAsk::default() };
    assert_eq!(told(controller.sync(back)).await.1, Outcome::Done);
    assert_eq!(controller.status(&[]).await.unwrap()[0].source, "default");
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_stops_stays_stopped_until_started() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", HELLO);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&ALL).await;
    let before = world.task("hello-web-1").await;
    let done = controller.tasks(ask(TaskVerb::Stop, &["hello-web-1"])).await.unwrap();
    assert_eq!(done[0].containers, ["hello-web-1"]);
    world.write("stacks/hello/compose.yaml", &format!("# again\n{HELLO}"));
    controller.hint_source("default").unwrap();
    world.until_running(&[ALL[0], ALL[2]]).await;

    controller.tasks(ask(TaskVerb::Start, &["hello/web"])).await.unwrap();
    world.until_running(&ALL).await;
    let after = world.task("hello-web-1").await;
    assert_eq!(after.id, before.id, "the same task runs again");
    world.advance(5);
    controller.tasks(ask(TaskVerb::Restart, &["hello/web.2"])).await.unwrap();
    world.until_running(&ALL).await;

    let refused = controller.tasks(ask(TaskVerb::Start, &["hello-web-1", "nobody"])).await;
    assert_eq!(refused.unwrap_err().kind, RefusalKind::NotFound);
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restarted_runs_again() {
    let world = world();
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    let before = world.task("hello-db-1").await;
    world.advance(5);
    controller.tasks(ask(TaskVerb::Restart, &["hello/db"])).await.unwrap();
    world.until_running(&ALL).await;
    let after = world.task("hello-db-1").await;
    assert_eq!((after.id, after.goal), (before.id, Goal::Running));
    assert_ne!(after.started, before.started, "it is another run of the same task");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predecessor_is_not_started_beside_its_successor() {
    let world = world();
    let controller = world.command().await;
    let settling = |mut ask: ConvergeAsk| {
        let PlanTarget::Submitted(submission) = &mut ask.target else { unreachable!() };
        submission.desired.policy.settle = 10_000;
        ask
    };
    told(controller.converge(world.up("hello"))).await;
    world.advance(5);
    world.write("hello/compose.yaml", &HELLO.replace("postgres:15", "postgres:16"));
    let mut lines = controller.converge(settling(world.up("hello")));
    let now = [("hello-db-1", "postgres:16"), ALL[1], ALL[2]];
    let deadline = Deadline::start();
    while world.running().await != now.map(|(name, image)| (name.into(), image.into())) {
        deadline.check("the new one runs");
        in_time("a line", lines.next()).await.expect("it is not settled yet");
    }
    drop(lines);
    assert_eq!(world.seen().await.tasks.len(), 4, "the predecessor is there to come back to");
    for verb in [TaskVerb::Stop, TaskVerb::Start, TaskVerb::Restart] {
        let done = controller.tasks(ask(verb, &["hello/db"])).await.unwrap();
        assert_eq!(done[0].containers, ["hello-db-1"]);
    }
    world.until_running(&now).await;
    let old = world.seen().await.tasks.into_iter().find(|t| t.spec.image == "postgres:15").unwrap();
    let refused = controller.tasks(ask(TaskVerb::Start, &[old.id.as_str()])).await.unwrap_err();
    assert!(refused.message.contains("has a successor"), "{refused}");

    let mut up = settling(world.up("hello"));
    up.detach = true;
    let converging = tokio::spawn(told(controller.converge(up)));
    let deadline = Deadline::start();
    while !converging.is_finished() {
        deadline.check("it converges");
        world.advance(1_000);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(converging.await.unwrap().1, Outcome::Done);
    assert_eq!(world.seen().await.tasks.len(), 3, "without a daemon it is waited for");
    assert_eq!(
        controller.status(&[]).await.unwrap()[0].operation.state,
        Some(OperationState::Succeeded)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_leaves_stopped_what_up_starts() {
    let world = world();
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    controller.tasks(ask(TaskVerb::Stop, &["hello-db-1"])).await.unwrap();
    let mut apply = world.up("hello");
    apply.keep_stopped = true;
    assert_eq!(told(controller.converge(apply)).await.1, Outcome::Done);
    world.until_running(&ALL[1..]).await;
    assert_eq!(told(controller.converge(world.up("hello"))).await.1, Outcome::Done);
    world.until_running(&ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_whose_source_is_gone_stays_and_says_so() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", HELLO);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&ALL).await;
    controller.stop().await;
    let controller = world.serve(vec![]).await;
    let notes = controller.status(&[]).await.unwrap().remove(0).notes;
    assert!(notes.iter().any(|note| note.contains("no longer configured")), "{notes:?}");
    world.until_running(&ALL).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_and_rm_do_as_docker_does() {
    let world = world();
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    let hup = TaskVerb::Kill { signal: "HUP".into() };
    controller.tasks(ask(hup, &["hello-db-1"])).await.unwrap();
    let id = world.task("hello-db-1").await.id;
    assert_eq!(world.fake.signals(), [(id, "HUP".to_owned())]);

    let remove = |force| TaskVerb::Remove { force, volumes: false };
    let refused = controller.tasks(ask(remove(false), &["hello-db-1"])).await.unwrap_err();
    assert_eq!(refused.message, "container hello-db-1 is running");
    controller.tasks(ask(TaskVerb::Kill { signal: "KILL".into() }, &["hello-db-1"])).await.unwrap();
    assert_eq!(world.task("hello-db-1").await.phase, Phase::Exited);
    controller.tasks(ask(remove(false), &["hello-db-1"])).await.unwrap();
    controller.tasks(ask(remove(true), &["hello-web-1"])).await.unwrap();
    world.until_running(&ALL[2..]).await;

    let (_, outcome, _) = told(controller.converge(world.up("hello"))).await;
    assert_eq!(outcome, Outcome::Done);
    world.until_running(&ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_is_never_planned_or_pruned() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", HELLO);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&ALL).await;
    let spec = TaskSpec { image: "alpine:3".into(), ..TaskSpec::default() };
    let run = |name: &str, attach| RunAsk {
        name: name.into(),
        spec: spec.clone(),
        auto_remove: false,
        attach,
        contents: BTreeMap::new(),
    };
    let made = controller.run(run("tool", true)).await.unwrap();
    assert_eq!(world.task("tool").await.phase, Phase::Ready);
    controller.start_oneoff(&made.id).await.unwrap();
    assert_eq!(world.task("tool").await.phase, Phase::Running);
    let taken = controller.run(run("tool", false)).await.unwrap_err();
    assert_eq!(taken.kind, RefusalKind::Conflict);
    let other = controller.run(run("", false)).await.unwrap();
    assert_ne!(other.id, made.id);

    told(controller.sync(SyncAsk::default())).await;
    assert_eq!(world.running().await.len(), 5);
    controller.tasks(ask(TaskVerb::Stop, &["tool"])).await.unwrap();
    assert_eq!(world.task("tool").await.goal, Goal::Stopped);
    controller.tasks(ask(TaskVerb::Start, &["tool"])).await.unwrap();
    let bridge = || async { world.seen().await.networks.iter().any(|n| n.spec.name == "bridge") };
    let remove = || TaskVerb::Remove { force: true, volumes: true };
    controller.tasks(ask(remove(), &["tool"])).await.unwrap();
    assert!(bridge().await, "the other is in it");
    controller.tasks(ask(remove(), &[&other.name])).await.unwrap();
    assert!(!bridge().await, "it goes with the last");
    world.until_running(&ALL).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_stack_is_left_alone() {
    let world = World::new();
    world.write("stacks/hello/compose.yaml", HELLO);
    let controller = world.serve_folder("stacks").await;
    world.until_running(&ALL).await;
    let by = SuspendAsk { stack: stack("hello"), by: "me@here".into(), reason: None };
    controller.suspend(by).await.unwrap();
    world.write("stacks/hello/compose.yaml", &HELLO.replace("nginx:1", "nginx:2"));
    until("the new revision is known", || async {
        controller.status(&[]).await.unwrap()[0].operation.state == Some(OperationState::Held)
    })
    .await;
    told(controller.sync(SyncAsk { targets: vec!["default".into()], ..SyncAsk::default() })).await;
    assert_eq!(world.running().await.len(), 3);
    assert_eq!(world.task("hello-web-1").await.spec.image, "nginx:1");
    controller.resume(&stack("hello")).await.unwrap();
    world.until_running(&[ALL[0], ("hello-web-1", "nginx:2"), ("hello-web-2", "nginx:2")]).await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_the_same_twice_and_changes_nothing() {
    let world = world();
    let controller = world.command().await;
    let target = || vec![PlanTarget::Submitted(Box::new(world.submission("hello")))];
    let first = controller.plan(target()).await.unwrap();
    let bytes = serde_json::to_vec(&first).unwrap();
    assert_eq!(bytes, serde_json::to_vec(&controller.plan(target()).await.unwrap()).unwrap());
    assert!(first.stacks[0].verdicts.iter().any(|row| row.slot.as_deref() == Some("web.2")));
    assert!(world.seen().await.tasks.is_empty());
    assert!(controller.plan(vec![]).await.unwrap().stacks.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_and_inspect_know_what_is_there() {
    let world = world();
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    let rows = controller.ps(PsAsk { all: true, ..PsAsk::default() }).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(
        |row| row.state == keel_reconciler::ask::ContainerState::Running && row.node == "here"
    ));
    let inspect = async |target: &str, kind: Option<InspectKind>| {
        serde_json::to_value(controller.inspect(target, kind).await.unwrap()).unwrap()
    };
    let web = inspect("hello-web-1", None).await;
    assert_eq!(web["Name"], "/hello-web-1");
    assert_eq!(web["State"]["Status"], "running");
    let volume = inspect("hello_data", Some(InspectKind::Volume)).await;
    assert_eq!(volume["Keel"]["Containers"][0], "hello-db-1");
    let network = inspect("hello_default", None).await;
    assert_eq!(network["Containers"].as_array().unwrap().len(), 3);
    assert_eq!(inspect("nginx:1", None).await["RepoTags"][0], "nginx:1");
    let away = controller.inspect("nobody", None).await.unwrap_err();
    assert_eq!(away.kind, RefusalKind::NotFound);
    let logs = Open::Logs { task: world.task("hello-web-1").await.id, options: Default::default() };
    assert!(controller.open(logs).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_networks_and_volumes_come_and_go() {
    let world = world();
    let controller = world.command().await;
    told(controller.converge(world.up("hello"))).await;
    let pull = PullAsk { references: vec!["alpine:3".into()] };
    let (steps, outcome, _) = told(controller.pull(pull.clone())).await;
    assert_eq!((steps, outcome), (vec!["Image alpine:3  Pulled".to_owned()], Outcome::Done));
    world.fake.behave("alpine:3", Behaviour::NoImage);
    assert_eq!(told(controller.pull(pull)).await.1, Outcome::Failed);

    let names = |name: &str| RemoveAsk { names: vec![name.into()], force: false };
    let used = controller.remove_images(names("nginx:1")).await.unwrap_err();
    assert!(used.message.contains("in use by container hello-web"), "{used}");
    assert_eq!(controller.remove_images(names("alpine:3")).await.unwrap(), ["alpine:3"]);
    assert!(controller.remove_volumes(names("hello_data")).await.is_err());
    assert!(controller.remove_networks(names("hello_default")).await.is_err());

    let spec = keel_engine::VolumeSpec { name: "mine".into(), ..Default::default() };
    controller.create_volume(VolumeAsk { spec }).await.unwrap();
    assert_eq!(controller.volumes().await.unwrap().len(), 2);
    controller.remove_volumes(names("mine")).await.unwrap();
    let spec = keel_engine::NetworkSpec { name: "mine".into(), ..Default::default() };
    let id = controller.create_network(NetworkAsk { spec }).await.unwrap();
    assert_eq!(controller.remove_networks(names(&id[..12])).await.unwrap(), ["mine"]);
    let away = controller.remove_networks(names("mine")).await.unwrap_err();
    assert_eq!(away.kind, RefusalKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_daemon_syncs_and_confirms() {
    let world = world();
    let controller = world.command().await;
    let (_, outcome, notes) = told(controller.sync(SyncAsk::default())).await;
    assert_eq!(outcome, Outcome::Failed);
    assert!(notes[1].contains("keel serve"), "{notes:?}");
    let refused = controller.confirm("default").await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::NeedsDaemon);
}
