//! One run of a task's check, inside of its container.

use super::streams;
use crate::root::record::{HealthPlan, Process};
use crate::runtime::enter;
use crate::runtime::failure::{AtStep, Failure};
use crate::runtime::patience::{Patience, Stuck};
use crate::runtime::spawn::Started;
use keel_engine::Exec;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Output that is kept.
const KEPT: usize = 4 << 10;
/// How long the container may take to let one in; the shim does nothing else meanwhile.
const ENTERING: Duration = Duration::from_secs(5);
/// What a pipe holds.
const PIPE: usize = 64 << 10;

/// A check that runs.
#[derive(Debug)]
pub struct Probe {
    /// Its process, our child.
    pub pid: u32,
    started: Started,
    output: Option<OwnedFd>,
    heard: Vec<u8>,
    /// When it began.
    pub began: Instant,
    /// When it is given up.
    pub until: Instant,
    late: bool,
}

impl Probe {
    /// Starts one.
    pub fn start(
        dir: &Path,
        inside: &Process,
        plan: &HealthPlan,
        stuck: &mut Stuck,
    ) -> Result<Self, Failure> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
        rustix::io::ioctl_fionbio(&ours, true).step("make a pipe")?;
        let stdio = (streams::null().step("open /dev/null")?, theirs);
        let exec = Exec { command: plan.command.clone(), ..Exec::default() };
        let (began, timeout) = (Instant::now(), Duration::from_millis(plan.timeout.max(1)));
        if stuck.is_there() {
            return Err(Failure::at("start", "the one before still waits for a file system"));
        }
        let patience = Patience::of(timeout.min(ENTERING), &|| true, stuck);
        let started = enter::inside(dir, inside, &exec, Some(stdio), patience)?;
        Ok(Self {
            pid: started.pid,
            started,
            output: Some(ours),
            heard: Vec::new(),
            began,
            until: began + timeout,
            late: false,
        })
    }

    /// Its output, while there is any.
    #[must_use]
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Reads of what it said as much as a pipe holds, and no more at once: it may say things faster
    /// than they are read. Only the first part is kept.
    pub fn hear(&mut self) {
        let mut chunk = [0; 4096];
        for _ in 0..PIPE / chunk.len() {
            let Some(output) = &self.output else { return };
            match rustix::io::read(output, &mut chunk) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    let room = KEPT - self.heard.len();
                    self.heard.extend_from_slice(&chunk[..length.min(room)]);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => self.output = None,
            }
        }
    }

    /// Ends it, with whatever it started and did not move elsewhere.
    pub fn kill(&self) {
        // It leads its session and is not reaped yet: nobody else has this number.
        let _ = killpg(Pid::from_raw(self.pid.cast_signed()), Signal::SIGKILL);
        // It may not have come that far.
        let _ = crate::sys::send_signal(self.started.pidfd.as_fd(), libc::SIGKILL);
    }

    /// It takes too long, which counts as a failure each time that the next one would be due: one
    /// that cannot even be killed (its file system hangs, say) is no sign of health. What it said.
    #[must_use]
    pub fn expire(&mut self, timeout: u64, next: Instant) -> String {
        self.hear();
        self.kill();
        (self.late, self.until) = (true, next);
        format!("Health check exceeded timeout ({timeout} ms): {}", self.said())
    }

    /// It ended; what it said, unless it had been given up.
    #[must_use]
    pub fn finish(mut self) -> Option<String> {
        self.hear();
        let failure = self.started.failure();
        (!self.late).then(|| failure.map_or_else(|| self.said(), |failure| failure.message))
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::fcntl_setpipe_size;
    use rustix::process::getpid;

    #[test]
    fn one_look_reads_no_more_than_a_pipe_holds() {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let size = fcntl_setpipe_size(&theirs, PIPE * 4).unwrap();
        assert_eq!(rustix::io::write(&theirs, &vec![b'y'; size]).unwrap(), size);
        let began = Instant::now();
        let mut probe = Probe {
            pid: std::process::id(),
            started: Started::of(getpid()),
            output: Some(ours),
            heard: Vec::new(),
            began,
            until: began,
            late: false,
        };
        probe.hear();
        let left = rustix::io::ioctl_fionread(probe.output().unwrap()).unwrap();
        assert_eq!(left, (size - PIPE) as u64, "whoever writes on is not read for ever");
        assert_eq!(probe.finish().unwrap().len(), KEPT);
    }
}
