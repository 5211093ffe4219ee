//! `keel enter TASKDIR`: a further process inside of a running task. Hidden; the engine starts it
//! with the process's own stdio. For a process with a terminal, which comes from the container's own
//! devpts, standard input is a [`Channel`] instead, over which the terminal's master is handed back.
//!
//! File descriptor 3 carries one JSON [`keel_engine::Exec`] and its end. The exit status is the
//! process's (128 + signal), 126 or 127 where it could not be started, 125 where the task could
//! not be entered; the reason is then on standard error, in docker's words. Signals are handed on.

use super::channel::Channel;
use super::execute::Program;
use super::failure::{AtStep, CANNOT_START, Failure};
use super::oci::Capabilities;
use super::patience::{Patience, Stuck};
use super::spawn::{self, Started};
use super::within::Root;
use super::{capabilities, seal, stdio, terminal, tiny_init};
use crate::root::late;
use crate::root::layout::TaskDir;
use crate::root::record::Process;
use keel_engine::Exec;
use keel_names::capability;
use nix::sched::CloneFlags;
use nix::sys::signal::SigSet;
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, pidfd_open, set_dumpable_behavior};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The descriptor that carries the request.
const REQUEST: u32 = 3;

/// Runs the process and waits for it.
#[must_use]
pub fn main(dir: &Path) -> i32 {
    match run(dir) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code
        }
    }
}

fn run(dir: &Path) -> Result<i32, Failure> {
    seal::run_sealed(&TaskDir(dir.to_owned()).programs(), REQUEST + 1).step("seal this program")?;
    let request = File::open(format!("/proc/self/fd/{REQUEST}")).step("open descriptor 3")?;
    let exec: Exec = serde_json::from_reader(request)
        .map_err(|error| Failure::at("read the request from descriptor 3", error))?;
    let state = late::load_state(&TaskDir(dir.to_owned())).step("read state")?;
    let process = state.and_then(|state| state.process).filter(Process::lives);
    let process = process.ok_or_else(not_running)?;
    let signals = SigSet::all();
    signals.thread_block().step("block signals")?;
    let started = inside(dir, &process, &exec, None, Patience::endless(&mut Stuck::default()))?;
    if let Some(master) = &started.terminal {
        let door = io::stdin().as_fd().try_clone_to_owned().step("hand the terminal over")?;
        Channel::from(door).terminal(master.as_fd()).step("hand the terminal over")?;
    }
    let pid = nix::unistd::Pid::from_raw(started.pid.cast_signed());
    let code = tiny_init::attend(pid, &signals);
    started.failure().map_or(Ok(code), Err)
}

fn not_running() -> Failure {
    Failure { code: CANNOT_START, message: "the container is not running".to_owned() }
}

/// Starts a process inside, with a terminal of its own, this process's stdio, or the given input and
/// output.
pub fn inside(
    dir: &Path,
    process: &Process,
    exec: &Exec,
    stdio: Option<(OwnedFd, OwnedFd)>,
    patience: Patience<'_>,
) -> Result<Started, Failure> {
    spawn::enter(patience, |channel| {
        let spec = spawn::specification(dir)?;
        let program = program(Program::prepare(&spec)?, exec);
        let pid = Pid::from_raw(process.pid.cast_signed()).ok_or_else(not_running)?;
        let target = pidfd_open(pid, PidfdFlags::empty()).step("find the container's process")?;
        if !process.lives() {
            return Err(not_running());
        }
        // Here, where the host's cgroups are still in sight.
        spawn::cgroup_of(&spec)?.join(false).step("join the cgroup")?;
        // Nobody inside may look into this process, which still has the host in its memory.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).step("hide from the container")?;
        if let Some((input, output)) = &stdio {
            stdio::use_stdio(input.as_fd(), output.as_fd(), output.as_fd())?;
        }
        // Into the container's process namespace come only this process's children: not before it
        // has become what they are to be does it make one.
        nix::sched::setns(target, namespaces()).step("enter the container")?;
        if exec.tty {
            let root = Root::open(Path::new("/")).step("open the root")?;
            terminal::give_inside(&root, channel)?;
        }
        let settled = program.settle(None, program.filter_of_entering())?;
        Ok(move || match lead(exec.tty) {
            Ok(()) => settled.execute(),
            Err(failure) => failure,
        })
    })
}

fn namespaces() -> CloneFlags {
    CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWCGROUP
}

fn lead(tty: bool) -> Result<(), Failure> {
    rustix::process::setsid().step("start a session")?;
    if tty {
        rustix::process::ioctl_tiocsctty(io::stdin()).step("control the terminal")?;
    }
    Ok(())
}

/// The container's own process, with what the request changes.
fn program(mut program: Program, exec: &Exec) -> Program {
    let process = &mut program.process;
    let environment = &mut process.env;
    let term = (exec.tty && !environment.iter().any(|line| line.starts_with("TERM=")))
        .then(|| "TERM=xterm".to_owned());
    for line in term.iter().chain(&exec.env) {
        let key = line.split('=').next().unwrap_or_default();
        environment.retain(|old| old.split('=').next() != Some(key));
        environment.push(line.clone());
    }
    process.args.clone_from(&exec.command);
    if let Some(folder) = &exec.working_dir {
        process.cwd = Path::new("/").join(folder);
    }
    if let Some(user) = &exec.user {
        process.user.username = Some(user.clone());
    }
    if exec.privileged {
        process.capabilities = Some(all_capabilities());
        process.no_new_privileges = false;
        program.filter = None;
    }
    program
}

fn all_capabilities() -> Capabilities {
    let known = rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits());
    let all = capability::ALL.iter().enumerate().filter(|(number, _)| known & 1 << number != 0);
    capabilities::sets(all.map(|(_, name)| *name))
}
