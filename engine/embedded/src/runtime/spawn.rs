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
//!   and descriptors, and does nothing but execute ([`birth_inside`]).
//! - No parent-death signal is set on a container's first process: it outlives its shim.

use super::cgroup::{Cgroup, DeviceRule};
use super::channel::{Channel, Message};
use super::failure::{CANNOT_START, Failure, Step};
use super::init;
use super::oci::{DeviceAccess, DeviceKind, Resources, Spec};
use crate::layout::TaskDir;
use crate::sys::{self, Clone3, Cloned};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where a container's first process reads and writes.
#[derive(Debug)]
pub enum Stdio {
    /// A terminal of its own, of so many rows and columns, whose master comes back.
    Terminal(Option<(u16, u16)>),
    /// These.
    Pipes {
        /// Standard input.
        input: OwnedFd,
        /// Standard output.
        output: OwnedFd,
        /// Standard error.
        error: OwnedFd,
    },
}

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
}

/// Starts the container of a task by its `config.json`.
pub fn start(dir: &Path, stdio: Stdio) -> Result<Started, Failure> {
    by_stage(None, |channel| {
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

/// Runs `stage` in a process of its own and hears what becomes of the process it makes. With a
/// limit, it is given up after that: a container that somebody has frozen holds whoever enters it.
pub fn by_stage(
    limit: Option<Duration>,
    stage: impl FnOnce(&Channel) -> Result<(), Failure>,
) -> Result<Started, Failure> {
    let until = limit.map(|limit| Instant::now() + limit);
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
            let heard = hear(&ours, until);
            if until.is_some_and(|until| until <= Instant::now()) {
                // Its end may not come for long; whoever reaps everything reaps it.
                kill(pid);
            } else {
                reap(pid);
            }
            heard
        }
    }
}

/// Waits until the other end tells its pid, or why it could not come up.
pub fn hear_of(channel: &Channel) -> Result<(), Failure> {
    match channel.receive().step("hear of the new process")? {
        Some(Message::Failed(failure)) => Err(failure),
        Some(_) => Ok(()),
        None => Err(Failure::at("start", "the new process died")),
    }
}

fn hear(channel: &Channel, until: Option<Instant>) -> Result<Started, Failure> {
    let (mut born, mut terminal, mut failed, mut warnings) = (None, None, None, Vec::new());
    loop {
        if !channel.has_word(until).step("hear of the new process")? {
            born.into_iter().for_each(kill);
            return Err(Failure::at("start", "the container lets nobody in: is it frozen?"));
        }
        let Some(message) = channel.receive().step("hear of the new process")? else { break };
        match message {
            // Only what can be ours, and once: a container that may trace could speak for a
            // process of its own that is about to be executed.
            Message::Born(pid) if born.is_none() && is_child(pid) => born = Some(pid),
            Message::Born(_) => {}
            Message::Terminal(master) => terminal = Some(master),
            Message::Warning(text) => warnings.push(text),
            Message::Failed(failure) => failed = Some(failure),
        }
    }
    if let Some(failure) = failed {
        if let Some(pid) = born {
            reap(pid);
        }
        return Err(failure);
    }
    let pid = born.ok_or_else(|| Failure::at("start", "the stage process died"))?;
    let handle = Pid::from_raw(pid.cast_signed()).ok_or(std::io::ErrorKind::InvalidInput);
    let handle = handle.step("read its pid")?;
    let pidfd = pidfd_open(handle, PidfdFlags::empty()).step("open a handle of the process")?;
    Ok(Started { pid, pidfd, terminal, warnings })
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

/// Clones a process that is in the caller's cgroup and in the namespaces that it joined for its
/// children. From here on processes of the container may see it.
pub fn birth_inside(channel: &Channel, life: impl FnOnce() -> Failure) -> Result<(), Failure> {
    live(sys::clone_sibling(), channel, life)
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
    let positive = |value: i64| u64::try_from(value).ok();
    let memory = resources.memory.as_ref().and_then(|memory| memory.limit);
    cgroup.set_memory(memory.and_then(positive)).step("limit memory")?;
    let quota = resources.cpu.as_ref().and_then(|cpu| cpu.quota);
    let nanos = quota.and_then(positive).map(|quota| quota * 10_000);
    cgroup.set_cpus(nanos).step("limit CPU time")?;
    let pids = resources.pids.as_ref().map(|pids| pids.limit);
    cgroup.set_pids(pids.and_then(positive)).step("limit processes")?;
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
