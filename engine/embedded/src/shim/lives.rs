//! Beginnings and ends of runs and checks, as children of the shim.

use super::check_run::Probe;
use super::ending::Ending;
use super::health::Monitor;
use super::orders::Orders;
use super::output::Stream;
use super::run::Run;
use super::streams;
use super::supervisor::Supervisor;
use crate::clock;
use crate::root::record::{Activity, Process};
use crate::runtime::failure::{AtStep, Failure};
use crate::runtime::patience::Patience;
use crate::runtime::spawn;
use keel_engine::Health;
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};
use std::time::{Duration, Instant};

/// How long a start may take, on a machine with much to do.
const STARTING: Duration = Duration::from_secs(120);

impl Supervisor {
    /// Begins a run.
    pub(super) fn begin(&mut self) {
        self.hear_everybody();
        self.state.run = self.orders.run;
        self.state.generation = self.orders.generation;
        self.state.next = None;
        match self.try_begin() {
            Ok(run) => {
                self.state.activity = Activity::Running;
                self.state.process = Some(run.process.clone());
                self.state.started = Some(clock::now());
                (self.state.finished, self.state.exit_code, self.state.exit_cause) =
                    (None, None, None);
                self.set_health(run.monitor.as_ref(), None);
                self.run = Some(run);
                self.store();
            }
            Err(failure) => self.could_not_begin(&failure),
        }
    }

    fn could_not_begin(&mut self, failure: &Failure) {
        self.state.started = Some(clock::now());
        self.state.message = Some(failure.into());
        let text = format!("{failure}\n").into_bytes();
        self.attached.tell(|| Stream::Stderr.frame(&text));
        self.ended(Ending::Code(failure.code), None);
    }

    fn try_begin(&mut self) -> Result<Run, Failure> {
        let (tty, stdin_open) = (self.orders.tty, self.orders.stdin_open);
        let oom_kills = self.cgroup().and_then(|cgroup| cgroup.oom_kills()).unwrap_or(0);
        let streams = if tty {
            streams::with_terminal(self.size)
        } else {
            streams::open(&self.dir, stdin_open)?
        };
        let (dir, last) = (&self.dir, self.state.run);
        let wanted = || !Orders::read(dir, last).is_ok_and(|orders| orders.is_stop());
        let patience = Patience::of(STARTING, &wanted, &mut self.stuck);
        let started = spawn::start(&dir.0, streams.stdio, patience)?;
        let left_out = || keel_engine::Failure {
            kind: keel_engine::FailureKind::Degraded,
            text: started.warnings.join("; "),
        };
        self.state.message = (!started.warnings.is_empty()).then(left_out);
        let mut sources = streams.sources;
        let mut input = streams.input;
        let mut terminal = None;
        if let Some(master) = started.terminal {
            let (source, ours) = streams::terminal(master).step("open the terminal")?;
            terminal = Some(ours.try_clone().step("open the terminal")?);
            sources.push(source);
            input = stdin_open.then_some(ours);
        }
        self.input.connect(input, tty);
        let began = Instant::now();
        let monitor = self.orders.health.clone().map(|plan| Monitor::new(plan, began));
        Ok(Run {
            // One that ended already is a zombie, which is still ours to reap.
            process: Process::find(started.pid).unwrap_or_else(|| named(started.pid)),
            pidfd: started.pidfd,
            adopted: false,
            began,
            sources,
            terminal,
            monitor,
            probe: None,
            stopping: None,
            passed_on: None,
            dying: None,
            oom_kills,
        })
    }

    /// Takes over the process that an earlier shim started, if it lives. Its terminal, if it has
    /// one, is lost.
    pub(super) fn adopt(&mut self) {
        let Some(process) = self.state.process.clone() else { return };
        match self.try_adopt(&process) {
            Some(run) => {
                self.set_health(run.monitor.as_ref(), None);
                self.run = Some(run);
            }
            None => self.ended(Ending::Unseen, Some(self.unseen_cause(&process))),
        }
    }

    fn unseen_cause(&self, process: &Process) -> keel_engine::ExitCause {
        if process.boot == keel_durable::boot_id() {
            keel_engine::ExitCause::Unknown
        } else {
            keel_engine::ExitCause::Interrupted
        }
    }

    fn try_adopt(&mut self, process: &Process) -> Option<Run> {
        let pid = Pid::from_raw(process.pid.cast_signed())?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // After the handle is open: now the pid cannot change hands any more.
        if !process.lives() {
            return None;
        }
        let streams = [Stream::Stdout, Stream::Stderr];
        let sources = streams.into_iter().filter(|_| !self.orders.tty);
        let sources =
            sources.filter_map(|stream| streams::source(&self.dir, stream).ok()).collect();
        let age = clock::now().saturating_sub(self.state.started.unwrap_or_else(clock::now));
        let now = Instant::now();
        let began = now.checked_sub(Duration::from_millis(age)).unwrap_or(now);
        let (health, failing) = (self.state.health, self.state.failing);
        let plan = self.orders.health.clone();
        Some(Run {
            process: process.clone(),
            pidfd,
            adopted: true,
            began,
            sources,
            terminal: None,
            monitor: plan.map(|plan| Monitor::resumed(plan, began, health, failing)),
            probe: None,
            stopping: None,
            passed_on: None,
            dying: None,
            oom_kills: self.cgroup().and_then(|cgroup| cgroup.oom_kills()).unwrap_or(0),
        })
    }

    /// Reaps all children that ended: the run's process, a check, orphans of either.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().cast_unsigned();
            let ending = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Ending::Code(code),
                (None, Some(signal)) => Ending::Signal(signal),
                (None, None) => continue,
            };
            let Some(run) = &self.run else { continue };
            if run.process.pid == pid {
                self.run_ended(ending);
            } else if run.probe.as_ref().is_some_and(|probe| probe.pid == pid) {
                self.check_ended(ending);
            }
        }
    }

    pub(super) fn adopted_ended(&mut self) {
        if self.run.as_ref().is_some_and(|run| run.adopted) {
            self.run_ended(Ending::Unseen);
        }
    }

    /// Starts a check that is due; kills one that takes too long.
    pub(super) fn advance_check(&mut self, now: Instant) {
        let Some(run) = &mut self.run else { return };
        let Some(monitor) = &mut run.monitor else { return };
        if let Some(probe) = &mut run.probe {
            if probe.until <= now {
                monitor.heard(false, probe.began, now);
                let said = probe.expire(monitor.plan().timeout, monitor.next());
                self.say_health(Some(said));
            }
            return;
        }
        if run.stopping.is_some() || monitor.next() > now {
            return;
        }
        match Probe::start(&self.dir.0, &run.process, monitor.plan(), &mut self.stuck) {
            Ok(probe) => run.probe = Some(probe),
            Err(failure) => {
                monitor.heard(false, now, Instant::now());
                self.say_health(Some(failure.message));
            }
        }
    }

    fn check_ended(&mut self, ending: Ending) {
        let Some(run) = &mut self.run else { return };
        let (Some(probe), Some(monitor)) = (run.probe.take(), run.monitor.as_mut()) else { return };
        let began = probe.began;
        if let Some(said) = probe.finish() {
            monitor.heard(ending.code() == Some(0), began, Instant::now());
            self.say_health(Some(said));
        }
    }

    /// The plan may have changed under a running process.
    pub(super) fn update_check(&mut self, now: Instant) {
        let Some(run) = &mut self.run else { return };
        match (&mut run.monitor, self.orders.health.clone()) {
            (Some(monitor), Some(plan)) => monitor.change(plan, now),
            (monitor, plan) => *monitor = plan.map(|plan| Monitor::new(plan, now)),
        }
        if run.monitor.is_none()
            && let Some(probe) = &run.probe
        {
            probe.kill();
        }
        self.say_health(None);
    }

    /// Stored only when it changes.
    fn say_health(&mut self, output: Option<String>) {
        let monitor = self.run.as_ref().and_then(|run| run.monitor.clone());
        if self.set_health(monitor.as_ref(), output) {
            self.store();
        }
    }

    /// Whether anything changed.
    fn set_health(&mut self, monitor: Option<&Monitor>, output: Option<String>) -> bool {
        let (health, failing) = monitor.map_or((Health::None, 0), Monitor::verdict);
        let changed = (self.state.health, self.state.failing) != (health, failing);
        if self.state.health != health {
            self.state.health_since = Some(clock::now());
        }
        (self.state.health, self.state.failing) = (health, failing);
        if changed {
            self.state.health_output = output;
        }
        changed
    }
}

/// A child that is a zombie already.
fn named(pid: u32) -> Process {
    Process { pid, start_time: 0, boot: keel_durable::boot_id() }
}
