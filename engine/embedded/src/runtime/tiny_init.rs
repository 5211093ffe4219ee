//! `keel init -- COMMAND`: process 1 of a container with `init: true`. Starts the command, hands
//! it every signal, reaps orphans, ends as the command does.

use super::failure::{CANNOT_START, Failure};
use crate::sys;
use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs the command; the exit code is the command's, 128 + signal where one ended it.
#[must_use]
pub fn main(command: &[OsString]) -> i32 {
    let Some((program, arguments)) = command.split_first() else { return CANNOT_START };
    let signals = SigSet::all();
    if signals.thread_block().is_err() {
        return CANNOT_START;
    }
    // A group of its own, in the foreground: a terminal's ^C goes to it, not to us.
    let mut command = Command::new(program);
    command.args(arguments).process_group(0);
    match sys::born_with_default_signals(&mut command).spawn() {
        Ok(child) => {
            let child = Pid::from_raw(child.id().cast_signed());
            let group = rustix::process::Pid::from_raw(child.as_raw());
            let _ = group.map(|group| rustix::termios::tcsetpgrp(std::io::stdin(), group));
            attend(child, &signals)
        }
        Err(error) => {
            let failure = Failure::exec(&program.to_string_lossy(), &error);
            eprintln!("{failure}");
            failure.code
        }
    }
}

/// Waits for a child's end; hands it every signal meanwhile. All signals are blocked.
pub fn attend(child: Pid, signals: &SigSet) -> i32 {
    loop {
        match sys::wait_for_signal(signals) {
            Ok(libc::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            Ok(signal) => {
                let _ = sys::signal_child(child.as_raw(), signal);
            }
            Err(_) => {}
        }
    }
}

/// Reaps all that ended; the child's code, if it was among them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = Some(128 + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return code,
            Ok(_) => {}
        }
    }
}
