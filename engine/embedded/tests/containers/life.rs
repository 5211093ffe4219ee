//! Runs, one after another: restarts, stops, checks, shims that die.

use crate::Test;
use crate::lab::{Lab, eventually};
use keel_embedded::record::{Activity, HealthPlan};
use keel_embedded::shim::Network;
use keel_engine::{ExitCause, Goal, Health, RestartPolicy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::sync::Arc;

pub const TESTS: &[Test] = &[
    ("failures_are_repeated_so_often", failures_are_repeated_so_often),
    ("always_backs_off", always_backs_off),
    ("a_stop_ends_it_for_good", a_stop_ends_it_for_good),
    ("a_stop_waits_and_then_kills", a_stop_waits_and_then_kills),
    ("force_does_not_wait", force_does_not_wait),
    ("ready_waits_for_running", ready_waits_for_running),
    ("a_raised_run_starts_anew", a_raised_run_starts_anew),
    ("an_update_in_place_leaves_it_alone", an_update_in_place_leaves_it_alone),
    ("a_foreign_kill_is_told_apart", a_foreign_kill_is_told_apart),
    ("a_signal_by_us_is_no_foreign_kill", a_signal_by_us_is_no_foreign_kill),
    ("checks_change_health", checks_change_health),
    ("a_check_that_hangs_is_killed", a_check_that_hangs_is_killed),
    ("a_container_outlives_its_shim", a_container_outlives_its_shim),
    ("what_ended_unseen_is_unknown", what_ended_unseen_is_unknown),
    ("the_writable_layer_outlives_a_run", the_writable_layer_outlives_a_run),
    ("the_last_act_is_to_reap", the_last_act_is_to_reap),
];

fn failures_are_repeated_so_often(lab: &Lab) {
    let task = lab.shell("echo run; exit 4");
    let task = task.spec(|spec| spec.restart = RestartPolicy::OnFailure { max: 2 }).launch();
    let state = task.end();
    assert_eq!((state.exit_code, state.restarts), (Some(4), 2));
    assert_eq!(task.output(), "run\nrun\nrun\n");
    let well = lab.shell("exit 0").spec(|spec| spec.restart = RestartPolicy::OnFailure { max: 2 });
    assert_eq!(well.launch().end().restarts, 0);
}

fn always_backs_off(lab: &Lab) {
    let task = lab.shell("exit 0").spec(|spec| spec.restart = RestartPolicy::Always).launch();
    let state = task.until("three restarts", |state| {
        state.activity == Activity::Backoff && state.restarts >= 2
    });
    // 100 ms, 200 ms, 400 ms.
    assert!(state.next.unwrap() - state.finished.unwrap() >= 400, "{state:#?}");
}

fn a_stop_ends_it_for_good(lab: &Lab) {
    let script = "trap 'echo asked; exit 0' TERM; echo ready; while true; do sleep 0.1; done";
    let mut task = lab.shell(script).spec(|spec| spec.restart = RestartPolicy::Always).launch();
    task.says("ready");
    task.goal(Goal::Stopped);
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (Some(0), Some(ExitCause::Stopped)));
    assert_eq!(state.generation, 2);
    task.says("asked");
    assert!(!fs::exists(task.dir.attach()).unwrap());
    assert!(task.cgroup().processes().unwrap().is_empty());
}

fn a_stop_waits_and_then_kills(lab: &Lab) {
    // Process 1 without a handler ignores it.
    let task = lab.shell("trap '' USR2; echo ready; sleep 1000; echo no").spec(|spec| {
        spec.stop_signal = Some("SIGUSR2".into());
        spec.stop_grace_period = Some(300);
    });
    let mut task = task.launch();
    task.says("ready");
    let began = std::time::Instant::now();
    task.goal(Goal::Stopped);
    let state = task.end();
    assert!(began.elapsed().as_millis() >= 300);
    assert_eq!((state.exit_code, state.exit_cause), (Some(137), Some(ExitCause::Stopped)));
}

fn force_does_not_wait(lab: &Lab) {
    let mut task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    task.assignment.force = true;
    task.goal(Goal::Removed);
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (Some(137), Some(ExitCause::Stopped)));
}

fn ready_waits_for_running(lab: &Lab) {
    let mut task = lab.shell("echo ran");
    task.assignment.goal = Goal::Ready;
    let mut task = task.launch();
    let state = task.state();
    assert_eq!((state.activity, state.process), (Activity::Waiting, None));
    assert!(fs::exists(format!("/proc/{}/ns/net", state.shim.unwrap().pid)).unwrap());
    task.goal(Goal::Running);
    task.end();
    assert_eq!(task.output(), "ran\n");
}

fn a_raised_run_starts_anew(lab: &Lab) {
    let mut task = lab.shell("echo ready; sleep 1000");
    task = task.spec(|spec| spec.stop_grace_period = Some(50)).launch();
    task.says("ready");
    let first = task.running().process;
    (task.assignment.generation, task.work.generation, task.work.run) = (2, 2, 2);
    task.nudge();
    let state = task.until("another process", |state| {
        state.activity == Activity::Running && state.process != first
    });
    assert_eq!((state.run, state.restarts), (2, 0));
}

fn an_update_in_place_leaves_it_alone(lab: &Lab) {
    let mut task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    let first = task.running().process;
    task.assignment.generation = 2;
    Arc::make_mut(&mut task.assignment.spec).restart = RestartPolicy::Always;
    task.nudge();
    let state = task.until("the new generation", |state| state.generation == 2);
    assert_eq!((state.activity, &state.process), (Activity::Running, &first));
    kill(Pid::from_raw(first.as_ref().unwrap().pid.cast_signed()), Signal::SIGKILL).unwrap();
    task.until("a restart by the new policy", |state| state.restarts == 1);
}

fn a_foreign_kill_is_told_apart(lab: &Lab) {
    let task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    let process = task.running().process.unwrap();
    kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL).unwrap();
    let state = task.end();
    assert_eq!(
        (state.exit_code, state.exit_cause),
        (Some(137), Some(ExitCause::KilledFromOutside))
    );
    assert_eq!(state.killed, Some((state.finished.unwrap(), 9)));
}

fn a_signal_by_us_is_no_foreign_kill(lab: &Lab) {
    let script = "trap 'echo heard' HUP; echo ready; while true; do sleep 0.1; done";
    let task = lab.shell(script).launch();
    task.says("ready");
    keel_embedded::shim::signal(&task.state(), 1).unwrap();
    task.says("heard");
    keel_embedded::shim::signal(&task.state(), 9).unwrap();
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (Some(137), Some(ExitCause::Stopped)));
    assert_eq!(state.killed, None);
}

fn plan(script: &str) -> HealthPlan {
    HealthPlan {
        command: ["sh", "-c", script].map(str::to_owned).into(),
        interval: 100,
        timeout: 20_000,
        retries: 2,
        start_period: 0,
        start_interval: 50,
    }
}

fn checks_change_health(lab: &Lab) {
    let mut task = lab.shell("touch /well; sleep 1000");
    task.work.health = Some(plan("echo $HOSTNAME looks; test -e /well"));
    let task = task.launch();
    assert_eq!(task.running().health, Health::Starting);
    let state = task.until("health", |state| state.health == Health::Healthy);
    assert!(state.health_since >= state.started);
    assert_eq!(task.sh("rm /well").0, 0);
    let state = task.until("illness", |state| state.health == Health::Unhealthy);
    let output = format!("{} looks\n", task.assignment.id.short());
    assert_eq!((state.failing >= 2, state.health_output), (true, Some(output)));
    assert_eq!(task.sh("touch /well").0, 0);
    task.until("health again", |state| state.health == Health::Healthy && state.failing == 0);
}

fn a_check_that_hangs_is_killed(lab: &Lab) {
    let mut task = lab.shell("sleep 1000");
    task.work.health =
        Some(HealthPlan { timeout: 100, retries: 1, ..plan("echo started; exec sleep 500") });
    let task = task.launch();
    let state = task.until("illness", |state| state.health == Health::Unhealthy);
    assert!(state.health_output.unwrap().starts_with("Health check exceeded timeout (100 ms)"));
    let gone = || (!task.sh("ps -o args").1.contains("sleep 500\nsleep 500")).then_some(());
    assert!(eventually(gone).is_some());
}

fn a_container_outlives_its_shim(lab: &Lab) {
    let script = "n=0; while true; do n=$((n+1)); echo line $n; sleep 0.05; done";
    let mut task = lab.shell(script).spec(|spec| spec.restart = RestartPolicy::Always);
    task.work.health = Some(plan("true"));
    let task = task.launch();
    task.says("line 3");
    let before = task.until("health", |state| state.health == Health::Healthy);
    let process = before.process.clone().unwrap();
    let shim = before.shim.clone().unwrap();
    kill(Pid::from_raw(shim.pid.cast_signed()), Signal::SIGKILL).unwrap();
    eventually(|| (!shim.lives()).then_some(())).unwrap();
    assert!(process.lives());
    let had = task.output().lines().count();
    task.shim(Network::Join(format!("/proc/{}/ns/net", process.pid).into()), true);
    let state = task.state();
    assert_eq!((state.process.as_ref(), state.health), (Some(&process), Health::Healthy));
    assert_ne!(state.shim, Some(shim));
    task.says(&format!("line {}", had + 5));
    // No line is lost, or there twice.
    let lines: Vec<_> = task.output().lines().map(str::to_owned).collect();
    let expected: Vec<_> = (1..=lines.len()).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
    kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL).unwrap();
    let state = task.until("a restart", |state| state.restarts == 1 && state.process.is_some());
    assert_ne!(state.process, Some(process));
}

fn what_ended_unseen_is_unknown(lab: &Lab) {
    let task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    let state = task.running();
    let (process, shim) = (state.process.unwrap(), state.shim.unwrap());
    for process in [&shim, &process] {
        kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL).unwrap();
        eventually(|| (!process.lives()).then_some(())).unwrap();
    }
    task.shim(Network::New, true);
    let state = task.end();
    assert_eq!((state.exit_code, state.exit_cause), (None, Some(ExitCause::Unknown)));
}

fn the_writable_layer_outlives_a_run(lab: &Lab) {
    let task = lab.shell("echo x >> /seen; cat /seen | wc -l; exit 1");
    let task = task.spec(|spec| spec.restart = RestartPolicy::OnFailure { max: 1 }).launch();
    task.end();
    assert_eq!(task.output(), "1\n2\n");
}

fn the_last_act_is_to_reap(lab: &Lab) {
    let mut task = lab.shell("true");
    task.assignment.auto_remove = true;
    let task = task.launch();
    task.end();
    let reaped = || fs::read_to_string(lab.path("reaped")).ok().filter(|text| !text.is_empty());
    let id = eventually(reaped);
    assert_eq!(id.as_deref(), Some(task.assignment.id.as_str()));
}
