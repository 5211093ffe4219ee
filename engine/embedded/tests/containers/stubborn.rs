//! What must not hold a shim up: whoever writes, checks, listens or freezes for ever.

use crate::Test;
use crate::lab::{Lab, Task, eventually};
use keel_embedded::record::{Activity, HealthPlan};
use keel_embedded::runtime::cgroup::Cgroup;
use keel_engine::{Goal, Health, RestartPolicy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("a_strangers_output_is_not_waited_for", a_strangers_output_is_not_waited_for),
    ("what_a_check_started_dies_with_it", what_a_check_started_dies_with_it),
    ("a_pipe_for_a_file_is_not_waited_for", a_pipe_for_a_file_is_not_waited_for),
    ("a_frozen_container_can_be_stopped", a_frozen_container_can_be_stopped),
    ("goodbyes_are_short", goodbyes_are_short),
    ("every_signal_is_handed_on", every_signal_is_handed_on),
    ("a_shim_lives_beside_its_task", a_shim_lives_beside_its_task),
    ("a_shim_keeps_nothing_of_its_starter", a_shim_keeps_nothing_of_its_starter),
];

/// A process that is ended with the test.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not in the container, but with its output: handed over a socket, say.
fn a_strangers_output_is_not_waited_for(lab: &Lab) {
    let mut task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    let mut yes = Command::new("/bin/busybox");
    yes.arg("yes").stdout(fs::OpenOptions::new().write(true).open(task.dir.0.join("out")).unwrap());
    let _stranger = Stranger(yes.spawn().unwrap());
    task.says("y\ny\n");
    task.assignment.force = true;
    task.goal(Goal::Stopped);
    assert_eq!(task.end().exit_code, Some(137));
}

fn plan(script: &str) -> HealthPlan {
    HealthPlan {
        command: ["sh", "-c", script].map(str::to_owned).into(),
        interval: 100,
        timeout: 300,
        retries: 1,
        start_period: 0,
        start_interval: 50,
    }
}

fn with_check<'a>(lab: &'a Lab, script: &str) -> Task<'a> {
    let mut task = lab.shell("sleep 1000");
    task.work.health = Some(plan(script));
    task.launch()
}

fn what_a_check_started_dies_with_it(lab: &Lab) {
    let task = with_check(lab, "sleep 501; true");
    task.until("illness", |state| state.health == Health::Unhealthy);
    let most = || {
        let (_, seen, _) = task.sh("ps -o args");
        (seen.matches("\nsleep 501").count() <= 1).then_some(())
    };
    // Several checks later.
    task.until("further failures", |state| state.failing >= 4);
    assert!(eventually(most).is_some());
}

fn frozen(task: &Task<'_>) -> PathBuf {
    match task.cgroup() {
        Cgroup::V1(tree) => tree.unified.unwrap().path,
        Cgroup::V2(tree) => tree.path,
    }
    .join("cgroup.freeze")
}

/// It is read before each start and check.
fn a_pipe_for_a_file_is_not_waited_for(lab: &Lab) {
    for trick in ["mkfifo /etc/passwd", "ln -s /dev/zero /etc/passwd"] {
        let task = lab.shell(&format!("rm /etc/passwd; {trick}; exit 3"));
        let again = RestartPolicy::OnFailure { max: 1 };
        let of = |user: &str| (again, Some(user.to_owned()));
        let task = task.spec(|spec| (spec.restart, spec.user) = of("root")).launch();
        let state = task.end();
        let message = state.message.map(|why| why.to_string()).unwrap_or_default();
        assert!(message.contains("/etc/passwd: it is not a regular file"), "{trick}: {message}");
        // Who is a number needs no file, and can go in and mend it.
        let task = lab.shell(&format!("rm /etc/passwd; {trick}; exit 3"));
        let task = task.spec(|spec| (spec.restart, spec.user) = of("0")).launch();
        assert_eq!(task.end().exit_code, Some(3));
    }
}

fn a_frozen_container_can_be_stopped(lab: &Lab) {
    let mut task = with_check(lab, "true");
    task.until("health", |state| state.health == Health::Healthy);
    fs::write(frozen(&task), "1").unwrap();
    let state = task.until("illness", |state| state.health == Health::Unhealthy);
    let said = state.health_output.unwrap();
    assert!(said.contains("is it frozen, or"), "{said}");
    task.assignment.force = true;
    task.goal(Goal::Stopped);
    assert_eq!(task.end().exit_code, Some(137));
}

fn goodbyes_are_short(lab: &Lab) {
    let mut task = lab.shell("head -c 900000 /dev/zero; echo; echo said >&2; sleep 1000");
    task.assignment.goal = Goal::Ready;
    let mut task = task.launch();
    let deaf: Vec<_> = (0..6).map(|_| UnixStream::connect(task.dir.attach()).unwrap()).collect();
    task.goal(Goal::Running);
    task.says("said");
    let began = Instant::now();
    kill(Pid::from_raw(task.running().process.unwrap().pid.cast_signed()), Signal::SIGKILL)
        .unwrap();
    task.end();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(deaf);
}

fn every_signal_is_handed_on(lab: &Lab) {
    let script = "trap 'echo heard HUP' HUP; trap 'echo heard USR1' USR1; echo ready; \
                  while true; do sleep 0.1; done";
    let task = lab.shell(script).launch();
    task.says("ready");
    task.signal_shim(Signal::SIGSTOP);
    let shim = task.state().shim.unwrap().pid;
    let stopped = || {
        let stat = fs::read_to_string(format!("/proc/{shim}/stat")).ok()?;
        stat.contains(") T ").then_some(())
    };
    eventually(stopped).unwrap();
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        keel_embedded::shim::signal(&task.state(), signal as i32).unwrap();
    }
    task.signal_shim(Signal::SIGCONT);
    task.says("heard HUP");
    task.says("heard USR1");
}

/// A unit, a session: what is found in its cgroup is ended with it.
fn a_shim_lives_beside_its_task(lab: &Lab) {
    let task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    let shim = task.state().shim.unwrap().pid;
    let lines = fs::read_to_string(format!("/proc/{shim}/cgroup")).unwrap();
    let unified = lines.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    assert_eq!(unified, format!("/{}/own", lab.layout.cgroup()));
}

/// `flock`, a CI's pipe: whoever waits for its end must not wait for the container's.
fn a_shim_keeps_nothing_of_its_starter(lab: &Lab) {
    let (ours, theirs) = pipe().unwrap();
    let task = lab.shell("echo ready; sleep 1000").launch();
    task.says("ready");
    assert_eq!(task.state().activity, Activity::Running);
    drop(theirs);
    let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
    let mut ends = [PollFd::new(&ours, PollFlags::IN)];
    assert_eq!(poll(&mut ends, Some(&patience)).unwrap(), 1, "somebody has the other end still");
}
