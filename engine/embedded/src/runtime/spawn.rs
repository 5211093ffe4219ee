//! Makes the processes of a container: its first one, and further ones inside of it.
//!
//! A short-lived stage process does the preparing (parsing, compiling filters, opening mounts) and
//! then clones the real one as its own sibling, so that the caller is its parent, and keeps none
//! of the memory that preparing took.
//!
//! # Invariants
//! - The caller has one thread: the copies of it go on with what one thread sees.
//! - Before anything of the container's choosing is resolved or executed, every descriptor that is
//!   not the container's is closed.
//! - What appears among a container's processes has no more rights than they, its own environment
//!   and descriptors, and does nothing but execute ([`enter`]).
//! - No parent-death signal is set on a container's first process: it outlives its shim.

use super::cgroup::{Cgroup, DeviceRule};
use super::channel::{Channel, Message};
use super::failure::{AtStep, CANNOT_START, Failure};
use super::init;
use super::oci::{DeviceAccess, DeviceKind, Resources, Spec};
use super::patience::Patience;
use super::stdio::Stdio;
use crate::root::layout::TaskDir;
use crate::sys::{self, Board, Clone3, Cloned};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// A process that was made, a child of the caller.
#[derive(Debug)]
pub struct Started {
    /// As the host sees it.
    pub pid: u32,
    /// Handle.
    pub pidfd: OwnedFd,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    /// What this kernel did not grant.
    pub warnings: Vec<String>,
    /// Where one that entered leaves why its program could not be executed.
    board: Option<Board>,
}

impl Started {
    /// A process that is there already.
    #[cfg(test)]
    pub(crate) fn of(pid: Pid) -> Self {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let pid = pid.as_raw_nonzero().get().cast_unsigned();
        Self { pid, pidfd, terminal: None, warnings: Vec::new(), board: None }
    }

    /// Why its program could not be executed; only a process that entered says so here, once it
    /// has ended. The container may have had a hand in it.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        failure_on(self.board.as_ref()?)
    }
}

fn failure_on(board: &Board) -> Option<Failure> {
    let (code, message) = board.text()?;
    Some(Failure { code: i32::try_from(code).unwrap_or(CANNOT_START), message })
}

/// Starts the container of a task by its `config.json`.
pub fn start(dir: &Path, stdio: Stdio, mut patience: Patience<'_>) -> Result<Started, Failure> {
    patience.wait_for_others()?;
    by_stage(patience, |channel| {
        let spec = specification(dir)?;
        let cgroup = prepare_cgroup(&spec)?;
        let container = init::Container::prepare(dir, spec, stdio)?;
        let namespaces =
            libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
        birth(channel, namespaces, &cgroup, || container.become_it(channel))
    })
}

/// A task's specification.
pub fn specification(dir: &Path) -> Result<Spec, Failure> {
    let file = File::open(TaskDir(dir.to_owned()).config()).step("open config.json")?;
    let read = std::io::BufReader::new(file);
    serde_json::from_reader(read).map_err(|error| Failure::at("read config.json", error))
}

/// Runs `stage` in a process of its own and hears what becomes of the process it makes.
fn by_stage(
    patience: Patience<'_>,
    stage: impl FnOnce(&Channel) -> Result<(), Failure>,
) -> Result<Started, Failure> {
    let (ours, theirs) = Channel::pair().step("make a socket pair")?;
    match sys::clone3(Clone3::default()).step("fork")? {
        Cloned::Child => {
            let _only_forward = OnlyForward;
            drop(ours);
            if let Err(failure) = stage(&theirs) {
                let _ = theirs.failed(&failure);
            }
            sys::exit_now(0)
        }
        Cloned::Parent(pid) => {
            drop(theirs);
            let mut heard = Heard::default();
            match heard.listen(&ours, &patience) {
                Ok(()) => reap(pid),
                Err(given_up) => {
                    let made = heard.born.into_iter().chain([pid]);
                    made.for_each(|pid| patience.stuck.give_up(pid));
                    return Err(given_up);
                }
            }
            heard.started()
        }
    }
}

/// Makes a process that appears among those of a container. `stage` becomes, in a process of its
/// own, what that one is to be, and gives its last steps, which never return. A container that
/// somebody has frozen holds whoever enters it, for as long as there is patience.
///
/// The new process has no descriptor to tell anything over, since the container may trace it: what
/// is to be said is left in memory.
pub fn enter<L: FnOnce() -> Failure>(
    patience: Patience<'_>,
    stage: impl FnOnce(&Channel) -> Result<L, Failure>,
) -> Result<Started, Failure> {
    let board = Board::new().step("share memory")?;
    let (ours, theirs) = Channel::pair().step("make a socket pair")?;
    match sys::clone3(Clone3::default()).step("fork")? {
        Cloned::Child => {
            let _only_forward = OnlyForward;
            if let Err(failure) = stage(&theirs).and_then(|last| appear(&board, last)) {
                board.leave_text(failure.code.cast_unsigned(), &failure.message);
            }
            sys::exit_now(0)
        }
        Cloned::Parent(stage) => {
            drop(theirs);
            let terminal =
                entered(stage, patience).and_then(|()| terminal_from(&ours)).inspect_err(|_| {
                    board.number().filter(|pid| is_child(*pid)).into_iter().for_each(kill)
                })?;
            let Some(pid) = board.number().filter(|pid| is_child(*pid)) else {
                let died = || Failure::at("start", "the stage process died");
                return Err(failure_on(&board).unwrap_or_else(died));
            };
            Ok(Started {
                pid,
                pidfd: handle(pid)?,
                terminal,
                warnings: Vec::new(),
                board: Some(board),
            })
        }
    }
}

/// Waits for a stage's end.
fn entered(stage: u32, patience: Patience<'_>) -> Result<(), Failure> {
    let ended = patience.wait(handle(stage)?.as_fd());
    match ended {
        Ok(()) => reap(stage),
        Err(_) => patience.stuck.give_up(stage),
    }
    ended
}

/// The terminal that the stage made, if it did.
fn terminal_from(channel: &Channel) -> Result<Option<OwnedFd>, Failure> {
    match channel.receive().step("hear of the new process")? {
        Some(Message::Terminal(master)) => Ok(Some(master)),
        _ => Ok(None),
    }
}

/// Makes the process, as the caller's sibling.
fn appear(board: &Board, last: impl FnOnce() -> Failure) -> Result<(), Failure> {
    match sys::clone_sibling().step("make the process")? {
        Cloned::Parent(pid) => board.leave_number(pid),
        Cloned::Child => {
            let _only_forward = OnlyForward;
            let failure = last();
            board.leave_text(failure.code.cast_unsigned(), &failure.message);
            sys::exit_now(failure.code)
        }
    }
    Ok(())
}

fn handle(pid: u32) -> Result<OwnedFd, Failure> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(std::io::ErrorKind::InvalidInput);
    pidfd_open(pid.step("read its pid")?, PidfdFlags::empty()).step("open a handle of the process")
}

/// Waits until the other end tells its pid, or why it could not come up.
pub fn hear_of(channel: &Channel) -> Result<(), Failure> {
    match channel.receive().step("hear of the new process")? {
        Some(Message::Failed(failure)) => Err(failure),
        Some(_) => Ok(()),
        None => Err(Failure::at("start", "the new process died")),
    }
}

/// What was told of a process that is being made.
#[derive(Default)]
struct Heard {
    born: Option<u32>,
    terminal: Option<OwnedFd>,
    failed: Option<Failure>,
    warnings: Vec<String>,
}

impl Heard {
    /// Hears all that is told; an error where that is given up.
    fn listen(&mut self, channel: &Channel, patience: &Patience<'_>) -> Result<(), Failure> {
        loop {
            patience.wait(channel.as_fd())?;
            match channel.receive().step("hear of the new process")? {
                Some(Message::Born(pid)) => self.born = Some(pid),
                Some(Message::Terminal(master)) => self.terminal = Some(master),
                Some(Message::Warning(text)) => self.warnings.push(text),
                Some(Message::Failed(failure)) => self.failed = Some(failure),
                None => return Ok(()),
            }
        }
    }

    fn started(self) -> Result<Started, Failure> {
        let Self { born, terminal, failed, warnings } = self;
        if let Some(failure) = failed {
            if let Some(pid) = born {
                reap(pid);
            }
            return Err(failure);
        }
        let pid = born.ok_or_else(|| Failure::at("start", "the stage process died"))?;
        Ok(Started { pid, pidfd: handle(pid)?, terminal, warnings, board: None })
    }
}

/// Whether it is a child that is not reaped yet.
fn is_child(pid: u32) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Pid::from_raw(pid.cast_signed()).is_some_and(|pid| waitid(WaitId::Pid(pid), look).is_ok())
}

/// Of a child that is not reaped yet.
fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn reap(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
    }
}

/// Clones the container's first process, in its cgroup where the kernel can.
fn birth(
    channel: &Channel,
    namespaces: i32,
    cgroup: &Cgroup,
    life: impl FnOnce() -> Failure,
) -> Result<(), Failure> {
    let place = cgroup.birthplace().step("open the cgroup")?;
    let inside = Clone3 { flags: sibling(namespaces), cgroup: place.as_ref().map(AsFd::as_fd) };
    let (cloned, born_inside) = match sys::clone3(inside) {
        Ok(cloned) => (Ok(cloned), place.is_some()),
        Err(_) => (sys::clone3(Clone3 { cgroup: None, ..inside }), false),
    };
    let join = || cgroup.join(born_inside).step("join the cgroup");
    live(cloned, channel, || join().err().unwrap_or_else(life))
}

fn sibling(namespaces: i32) -> u64 {
    u64::from((namespaces | libc::CLONE_PARENT).cast_unsigned())
}

/// `life` returns only on failure.
fn live(
    cloned: std::io::Result<Cloned>,
    channel: &Channel,
    life: impl FnOnce() -> Failure,
) -> Result<(), Failure> {
    match cloned.step("make the process")? {
        Cloned::Parent(pid) => channel.born(pid).step("tell the pid"),
        Cloned::Child => {
            let _only_forward = OnlyForward;
            let failure = life();
            let _ = channel.failed(&failure);
            sys::exit_now(failure.code)
        }
    }
}

/// A copy of a process never goes back to what the original was doing, not even by a panic.
struct OnlyForward;

impl Drop for OnlyForward {
    fn drop(&mut self) {
        sys::exit_now(CANNOT_START)
    }
}

/// The task's cgroup, made, with its limits.
fn prepare_cgroup(spec: &Spec) -> Result<Cgroup, Failure> {
    let cgroup = cgroup_of(spec)?;
    cgroup.create().step("make the cgroup")?;
    limit(&cgroup, &spec.linux.resources)?;
    Ok(cgroup)
}

/// The cgroup that a specification names.
pub fn cgroup_of(spec: &Spec) -> Result<Cgroup, Failure> {
    Cgroup::at(&spec.linux.cgroups_path).step("find the cgroups")
}

fn limit(cgroup: &Cgroup, resources: &Resources) -> Result<(), Failure> {
    let failed = |(limit, error)| Failure::at(format_args!("limit {limit}"), error);
    cgroup.apply(&resources.limits).map_err(failed)?;
    let rules: Vec<_> = resources.devices.iter().map(device_rule).collect();
    cgroup.set_devices(&rules).step("limit devices")
}

fn device_rule(rule: &DeviceAccess) -> DeviceRule {
    let kind = match rule.kind {
        DeviceKind::B => 'b',
        DeviceKind::C | DeviceKind::U => 'c',
        _ => 'a',
    };
    let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    DeviceRule {
        kind,
        major: number(rule.major),
        minor: number(rule.minor),
        access: rule.access.clone().unwrap_or_else(|| "rwm".to_owned()),
    }
}
