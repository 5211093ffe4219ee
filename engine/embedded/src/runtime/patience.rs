//! How long somebody waits for a process that is being made in or for a container.
//!
//! What is mounted there may be a file system that nobody answers for: of the container's own, or of
//! the host's, whose server is gone. Whoever asks it waits in the kernel, and no signal ends that.
//!
//! # Invariants
//! - Who waits is given up, never waited for in turn.
//! - While one that was given up is still there no further one is sent after it.

use super::failure::{AtStep, Failure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often it is asked whether the process is still wanted.
const ASKED: Duration = Duration::from_millis(250);

/// Processes that were given up, and that no signal has ended yet.
#[derive(Debug, Default)]
pub struct Stuck(Vec<OwnedFd>);

impl Stuck {
    /// Whether there is one.
    pub fn is_there(&mut self) -> bool {
        self.0.retain(|handle| !is_ready(handle.as_fd()));
        !self.0.is_empty()
    }

    /// Kills a child that is not reaped yet. Its end may not come for long, and whoever reaps everything
    /// reaps it.
    pub(super) fn give_up(&mut self, pid: u32) {
        let Some(pid) = Pid::from_raw(pid.cast_signed()) else { return };
        let _ = kill_process(pid, Signal::KILL);
        self.0.extend(pidfd_open(pid, PidfdFlags::empty()));
    }
}

/// How long somebody waits.
pub struct Patience<'a> {
    until: Option<Instant>,
    wanted: &'a dyn Fn() -> bool,
    pub(super) stuck: &'a mut Stuck,
}

impl<'a> Patience<'a> {
    /// As long as it takes.
    pub fn endless(stuck: &'a mut Stuck) -> Self {
        Self { until: None, wanted: &|| true, stuck }
    }

    /// So long, and no longer than it is wanted.
    pub fn of(limit: Duration, wanted: &'a dyn Fn() -> bool, stuck: &'a mut Stuck) -> Self {
        Self { until: Some(Instant::now() + limit), wanted, stuck }
    }

    /// Waits until those are gone who were given up before.
    pub(super) fn wait_for_others(&mut self) -> Result<(), Failure> {
        while self.stuck.is_there() {
            self.wait(self.stuck.0[0].as_fd())?;
        }
        Ok(())
    }

    /// Waits until there is something to read; an error where that is given up.
    pub(super) fn wait(&self, fd: BorrowedFd<'_>) -> Result<(), Failure> {
        loop {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            let slice = left.map(|left| left.min(ASKED));
            if ready_within(fd, slice).step("wait for the new process")? {
                return Ok(());
            }
            if left == Some(Duration::ZERO) {
                return Err(Failure::at(
                    "start",
                    "the container lets nobody in: is it frozen, or does a file system in it not \
                     answer?",
                ));
            }
            if !(self.wanted)() {
                return Err(Failure::at("start", "it was to be stopped before it had started"));
            }
        }
    }
}

fn is_ready(fd: BorrowedFd<'_>) -> bool {
    ready_within(fd, Some(Duration::ZERO)).unwrap_or(false)
}

fn ready_within(fd: BorrowedFd<'_>, limit: Option<Duration>) -> io::Result<bool> {
    let limit = limit.map(|limit| Timespec {
        tv_sec: limit.as_secs().cast_signed(),
        tv_nsec: limit.subsec_nanos().into(),
    });
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], limit.as_ref()) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        other => Ok(other? > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::cell::Cell;
    use std::process::Command;

    #[test]
    fn who_is_not_wanted_any_more_is_given_up_and_not_followed_before_the_end() {
        let mut child = Command::new("sleep").arg("1000000").spawn().unwrap();
        let (silent, _open) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (mut stuck, asked) = (Stuck::default(), Cell::new(0));
        let wanted = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        let mut patience = Patience::of(Duration::from_secs(60), &wanted, &mut stuck);
        let refused = patience.wait(silent.as_fd()).unwrap_err();
        assert!(refused.message.contains("before it had started"), "{refused}");
        patience.until = Some(Instant::now());
        assert!(patience.wait(silent.as_fd()).unwrap_err().message.contains("frozen"));
        // Whom no signal ends.
        stuck.0.push(pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap());
        assert!(stuck.is_there());
        Patience::of(Duration::ZERO, &|| true, &mut stuck).wait_for_others().unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        Patience::of(Duration::ZERO, &|| true, &mut stuck).wait_for_others().unwrap();
        assert!(!stuck.is_there());
    }
}
