//! Drivers and shims die; what runs goes on.

use crate::Test;
use crate::lab::Lab;
use crate::life::in_network;
use crate::person::kill;
use keel_embedded::record::{self, Process, ShimState};
use keel_embedded::runtime::cgroup::Cgroup;
use keel_embedded::shim::{Launch, Network};
use keel_engine::{Depth, ExitCause, FieldPath, Goal, Observation, Phase, RestartPolicy};
use std::sync::Arc;

pub const TESTS: &[Test] = &[
    ("another_driver_restarts_nothing", || Box::pin(another_driver_restarts_nothing())),
    ("a_stray_cgroup_goes_with_the_next_driver", || {
        Box::pin(a_stray_cgroup_goes_with_the_next_driver())
    }),
    ("what_a_driver_left_midway_is_finished", || Box::pin(what_a_driver_left_midway_is_finished())),
    ("a_dead_shim_is_replaced", || Box::pin(a_dead_shim_is_replaced())),
    ("a_dead_keel_net_is_replaced", || Box::pin(a_dead_keel_net_is_replaced())),
    ("a_reboot_starts_again", || Box::pin(a_reboot_starts_again())),
    ("a_kill_from_outside_is_found", || Box::pin(a_kill_from_outside_is_found())),
];

fn state(lab: &Lab, id: &keel_engine::TaskId) -> ShimState {
    record::load(&lab.layout.task(id).state()).unwrap().unwrap()
}

async fn another_driver_restarts_nothing() {
    let mut lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut wish = lab.task("web", &[]);
    in_network(&mut wish, "shop_default", "web");
    lab.assign(&wish).await;
    let first = lab.until_phase(&wish, Phase::Running).await;
    lab.reopen().await;
    lab.engine().idle().await;
    let second = lab.until_phase(&wish, Phase::Running).await;
    assert_eq!((first.pid, first.started), (second.pid, second.started));
    lab.close().await;
    let mut stop = wish.clone();
    (stop.generation, stop.goal) = (2, Goal::Stopped);
    // Killed between the wish and its carrying out.
    record::store(&lab.layout.task(&wish.id).assignment(), &stop).unwrap();
    lab.reopen().await;
    let stopped = lab.until_phase(&wish, Phase::Exited).await;
    assert_eq!(stopped.exit_cause, Some(ExitCause::Stopped));
    lab.clean().await;
}

/// The driver was killed after it forgot a task, and before its cgroup went.
async fn a_stray_cgroup_goes_with_the_next_driver() {
    let mut lab = Lab::open().await;
    let wish = lab.task("web", &[]);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let group = |name: &str| Cgroup::at(&format!("{}/{name}", lab.layout.cgroup())).unwrap();
    let (stray, own) = (group("0123456789ab"), group(wish.id.short()));
    stray.create().unwrap();
    lab.reopen().await;
    let all = || Cgroup::at(&lab.layout.cgroup()).unwrap().children().unwrap();
    let gone = |_: &Observation| !all().contains("0123456789ab");
    lab.until("the stray goes", Depth::State, gone).await;
    assert!(all().contains(wish.id.short()) && !own.processes().unwrap().is_empty());
    lab.clean().await;
}

/// The driver died when the shim was up and nothing else: the next one starts the process, or
/// ends the shim if that is what is wanted by now.
async fn what_a_driver_left_midway_is_finished() {
    let mut lab = Lab::open().await;
    for (name, goal, phase) in
        [("runs", Goal::Running, Phase::Running), ("ends", Goal::Stopped, Phase::Exited)]
    {
        let mut wish = lab.task(name, &[]);
        wish.goal = Goal::Ready;
        lab.assign(&wish).await;
        lab.until_phase(&wish, Phase::Ready).await;
        lab.close().await;
        let (dir, root) = (lab.layout.task(&wish.id).0, lab.layout.root().to_owned());
        let launch = Launch { dir, root, network: Network::New, adopt: false };
        let mut shim = launch.command(&std::env::current_exe().unwrap());
        assert!(shim.status().unwrap().success());
        (wish.generation, wish.goal) = (2, goal);
        record::store(&lab.layout.task(&wish.id).assignment(), &wish).unwrap();
        lab.reopen().await;
        lab.until_phase(&wish, phase).await;
    }
    lab.clean().await;
}

async fn a_dead_shim_is_replaced() {
    let lab = Lab::open().await;
    let wish = lab.task("web", &[]);
    lab.assign(&wish).await;
    let first = lab.until_phase(&wish, Phase::Running).await;
    let shim = state(&lab, &wish.id).shim.unwrap();
    kill(shim.pid);
    let lives = |_: &keel_engine::ObservedTask| {
        let now = state(&lab, &wish.id).shim;
        now.is_some_and(|now| now != shim && now.lives())
    };
    let second = lab.until_task(&wish, "another shim takes over", lives).await;
    assert_eq!((second.pid, second.phase), (first.pid, Phase::Running));
    lab.clean().await;
}

async fn a_dead_keel_net_is_replaced() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut wish = lab.task("web", &[]);
    in_network(&mut wish, "shop_default", "web");
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let serving = || record::load::<Process>(&lab.layout.run().join("net.pid")).unwrap();
    let net = serving().unwrap();
    kill(net.pid);
    let lives =
        |_: &keel_engine::ObservedTask| serving().is_some_and(|now| now != net && now.lives());
    lab.until_task(&wish, "another one serves", lives).await;
    lab.clean().await;
}

/// As after a reboot: processes, namespaces and links are gone, and pids belong to another boot.
async fn a_reboot_starts_again() {
    let mut lab = Lab::open().await;
    let mut wish = lab.task("web", &[]);
    Arc::make_mut(&mut wish.spec).restart = RestartPolicy::Always;
    lab.assign(&wish).await;
    let first = lab.until_phase(&wish, Phase::Running).await;
    lab.close().await;
    let mut before = state(&lab, &wish.id);
    let shim = before.shim.clone().unwrap();
    kill(shim.pid);
    kill(first.pid.unwrap());
    for process in [&mut before.shim, &mut before.process].into_iter().flatten() {
        process.boot = "another".into();
    }
    record::store(&lab.layout.task(&wish.id).state(), &before).unwrap();
    lab.reopen().await;
    let again = |task: &keel_engine::ObservedTask| {
        task.phase == Phase::Running && task.pid.is_some() && task.pid != first.pid
    };
    lab.until_task(&wish, "it starts again", again).await;
    lab.clean().await;
}

async fn a_kill_from_outside_is_found() {
    let lab = Lab::open().await;
    let mut wish = lab.task("web", &[]);
    Arc::make_mut(&mut wish.spec).restart = RestartPolicy::Always;
    lab.assign(&wish).await;
    let first = lab.until_phase(&wish, Phase::Running).await;
    kill(first.pid.unwrap());
    let told = |seen: &keel_engine::Observation| {
        let task = &seen.tasks[0];
        task.findings.iter().any(|finding| finding.path == FieldPath::Process && finding.fixed)
    };
    let seen = lab.until("it is told, and fixed", Depth::Fields, told).await;
    let cause = seen.tasks[0].findings[0].cause.as_ref().map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("killed by SIGKILL from outside"));
    lab.clean().await;
}
