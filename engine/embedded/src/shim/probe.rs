//! One run of a task's check, inside of its container.

use super::streams;
use crate::record::{HealthPlan, Process};
use crate::runtime::enter;
use crate::runtime::failure::{Failure, Step};
use keel_engine::Exec;
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Output that is kept.
const KEPT: usize = 4 << 10;

/// A check that runs.
#[derive(Debug)]
pub struct Probe {
    /// Its process, our child.
    pub pid: u32,
    pidfd: OwnedFd,
    output: Option<OwnedFd>,
    heard: Vec<u8>,
    /// When it began.
    pub began: Instant,
    /// When it is killed.
    pub until: Instant,
    late: Option<u64>,
}

impl Probe {
    /// Starts one.
    pub fn start(dir: &Path, inside: &Process, plan: &HealthPlan) -> Result<Self, Failure> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
        rustix::io::ioctl_fionbio(&ours, true).step("make a pipe")?;
        let stdio = (streams::null().step("open /dev/null")?, theirs);
        let exec = Exec { command: plan.command.clone(), ..Exec::default() };
        let began = Instant::now();
        let started = enter::inside(dir, inside, &exec, Some(stdio))?;
        Ok(Self {
            pid: started.pid,
            pidfd: started.pidfd,
            output: Some(ours),
            heard: Vec::new(),
            began,
            until: began + Duration::from_millis(plan.timeout.max(1)),
            late: None,
        })
    }

    /// Its output, while there is any.
    #[must_use]
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Reads what it said; only the first part is kept.
    pub fn hear(&mut self) {
        let mut chunk = [0; 1024];
        while let Some(output) = &self.output {
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

    /// It took too long.
    pub fn kill(&mut self, timeout: u64) {
        if self.late.is_none() {
            self.late = Some(timeout);
            let _ = crate::sys::send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        }
    }

    /// Whether it was killed already.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// It ended; whether well, and what it said.
    #[must_use]
    pub fn finish(mut self, code: i32) -> (bool, String) {
        self.hear();
        let mut said = String::from_utf8_lossy(&self.heard).into_owned();
        if let Some(timeout) = self.late {
            said = format!("Health check exceeded timeout ({timeout} ms): {said}");
        }
        (code == 0 && self.late.is_none(), said)
    }
}
