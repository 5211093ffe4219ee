//! `keel init -- COMMAND`: process 1 of a container with `init: true`. Starts the command, hands
//! it every signal, reaps orphans, ends as the command does.

use super::failure::Failure;
use crate::sys::{self, Clone3, Cloned};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, execvp};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

/// Runs the command; the exit code is the command's, 128 + signal where one ended it.
#[must_use]
pub fn main(command: Vec<OsString>) -> i32 {
    let command: Vec<_> =
        command.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect();
    let Some(name) = command.first() else { return 127 };
    let signals = SigSet::all();
    if signals.thread_block().is_err() {
        return 125;
    }
    match sys::clone3(Clone3::default()) {
        Ok(Cloned::Parent(pid)) => attend(Pid::from_raw(pid.cast_signed()), &signals),
        Ok(Cloned::Child) => execute(name, &command),
        Err(error) => {
            eprintln!("cannot start {}: {error}", name.to_string_lossy());
            125
        }
    }
}

fn execute(name: &CString, command: &[CString]) -> ! {
    let _ = sys::default_signals();
    // A group of its own, in the foreground: a terminal's ^C goes to it, not to us.
    if rustix::process::setpgid(None, None).is_ok() {
        let _ = rustix::termios::tcsetpgrp(std::io::stdin(), rustix::process::getpid());
    }
    let Err(error) = execvp(name, command);
    let failure = Failure::exec(&name.to_string_lossy(), &error.into());
    eprintln!("{failure}");
    sys::exit_now(failure.code)
}

/// Waits for a child's end; hands it every signal meanwhile. All signals are blocked.
pub fn attend(child: Pid, signals: &SigSet) -> i32 {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            Ok(signal) => {
                let _ = kill(child, signal);
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
