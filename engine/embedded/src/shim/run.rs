//! One run of a container's process, as its shim sees it.

use super::check_run::Probe;
use super::health::Monitor;
use super::streams::Source;
use crate::root::record::Process;
use crate::sys;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A run that goes on.
#[derive(Debug)]
pub struct Run {
    /// The process.
    pub process: Process,
    /// Its handle.
    pub pidfd: OwnedFd,
    /// An earlier shim started it: it is not our child, and its end is seen by the handle alone.
    pub adopted: bool,
    /// When it began.
    pub began: Instant,
    /// Its output.
    pub sources: Vec<Source>,
    /// Its terminal, for resizing.
    pub terminal: Option<OwnedFd>,
    /// Its check.
    pub monitor: Option<Monitor>,
    /// A check that runs now.
    pub probe: Option<Probe>,
    /// It is being ended.
    pub stopping: Option<Stopping>,
    /// The last signal that somebody sent through us.
    pub passed_on: Option<i32>,
    /// It was killed: what keeps it from dying is given up at this time.
    pub dying: Option<Instant>,
    /// Processes killed for memory before this run.
    pub oom_kills: u64,
}

/// How far the end of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping {
    /// The next step.
    pub step: StopStep,
    /// A younger run follows.
    pub then_anew: bool,
}

/// Steps of stopping, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopStep {
    /// Taken out of service; signalled at this time at the latest.
    Drain(Instant),
    /// Signalled; killed at this time.
    Grace(Instant),
    /// Killed.
    Killed,
}

/// How long others may take to send no more traffic.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the kernel may take to end what was killed.
const DYING: Duration = Duration::from_secs(2);

impl Run {
    /// Begins, or hastens, its end.
    pub fn stop(&mut self, now: Instant, served: bool, force: bool, then_anew: bool) {
        let drain = if served { DRAIN } else { Duration::ZERO };
        let stopping =
            self.stopping.get_or_insert(Stopping { step: StopStep::Drain(now + drain), then_anew });
        stopping.then_anew = then_anew;
        if force && stopping.step != StopStep::Killed {
            stopping.step = StopStep::Grace(now);
        }
    }

    /// Traffic does not come any more.
    pub fn drained(&mut self, now: Instant) {
        if let Some(Stopping { step: StopStep::Drain(until), .. }) = &mut self.stopping {
            *until = now;
        }
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Instant, signal: i32, grace: Duration) {
        let Some(stopping) = &mut self.stopping else { return };
        if matches!(stopping.step, StopStep::Drain(until) if until <= now) {
            let _ = sys::send_signal(self.pidfd.as_fd(), signal);
            stopping.step = StopStep::Grace(now + grace);
        }
        if matches!(stopping.step, StopStep::Grace(until) if until <= now) {
            let _ = sys::send_signal(self.pidfd.as_fd(), libc::SIGKILL);
            stopping.step = StopStep::Killed;
            self.dying = Some(now + DYING);
        }
    }

    /// Hands a person's signal on.
    pub fn pass_on(&mut self, signal: i32, now: Instant) {
        if sys::send_signal(self.pidfd.as_fd(), signal).is_ok() {
            self.passed_on = Some(signal);
            if signal == libc::SIGKILL {
                self.dying = Some(now + DYING);
            }
        }
    }

    /// Whether it was killed long ago and is still there; asked again after a while.
    pub fn outlives(&mut self, now: Instant) -> bool {
        let outlives = self.dying.is_some_and(|until| until <= now);
        if outlives {
            self.dying = Some(now + DYING);
        }
        outlives
    }

    /// Whether it was signalled: before, an end is its own.
    #[must_use]
    pub fn was_signalled(&self) -> bool {
        matches!(self.stopping, Some(Stopping { step: StopStep::Grace(_) | StopStep::Killed, .. }))
    }

    /// When something is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let stop = match self.stopping {
            Some(Stopping { step: StopStep::Drain(at) | StopStep::Grace(at), .. }) => Some(at),
            Some(Stopping { step: StopStep::Killed, .. }) | None => None,
        };
        let check = match (&self.probe, &self.monitor) {
            (Some(probe), Some(_)) => Some(probe.until),
            (None, Some(monitor)) if self.stopping.is_none() => Some(monitor.next()),
            _ => None,
        };
        [stop, check, self.dying].into_iter().flatten().min()
    }
}
