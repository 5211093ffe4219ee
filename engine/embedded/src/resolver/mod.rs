//! The process `keel net`: names inside containers (DNS at 127.0.0.11), and the elements of the
//! port tables. One per root; follows the tasks' records, so it needs no engine.
//!
//! # Invariants
//! - It may be killed at any time: the next one finds all it needs in the records and the kernel.
//! - It ends when no task needs it; whoever launches a task calls [`ensure`] first.
//!
//! # Not here
//! Chains and links: [`crate::network`]. What a task shall be: it only reads what became of it.

mod answer;
pub mod etc;
mod forward;
pub(crate) mod keeper;
mod known;
mod listen;
mod marks;
mod server;

mod tasks;
mod watch;
mod zone;

use crate::network::port_table::{self, Key};
use crate::network::ports::host_address;
use crate::network::{NetworkError, NetworkFinding, Scope, kernel, settled};
use crate::root::layout::{Layout, TaskDir};
use crate::root::record::{Process, Work, load, note};
use crate::runtime::cgroup::Home;
use crate::sys;
use keel_engine::{FieldPath, TaskId};
use marks::{Marker, names_path, tell};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;
use nix::unistd::setsid;
use server::End;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The record of the `keel net` that serves.
pub(crate) fn pid_path(layout: &Layout) -> PathBuf {
    layout.run().join("net.pid")
}

/// Starts `keel net` for this root unless one runs: `PROGRAM net ROOT`, detached. Call it after a
/// task's endpoints are stored and before the task is launched. `program` is `/proc/self/exe`,
/// but in tests.
pub fn ensure(layout: &Layout, program: &Path) -> io::Result<()> {
    fs::create_dir_all(layout.run())?;
    if is_served(layout)? {
        return Ok(());
    }
    let log = own(&layout.run().join("net.log"))?;
    let mut command = Command::new(program);
    // It outlives whoever starts it, and needs nothing of what that has in its environment.
    command.arg0("keel").env_clear().arg("net").arg(layout.root());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child = sys::born_alone(command.process_group(0)).spawn()?;
    // Should it end before us, somebody must take note.
    std::thread::Builder::new().name("net-reaper".into()).spawn(move || child.wait())?;
    Ok(())
}

/// A file in a folder that others may pass: whoever may read one may lock it, and so seem to serve.
fn own(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The lock that `keel net` holds for its life; `None` if another one has it. A record lock, for
/// it belongs to the process: a `flock` would stay with every child that was just forked.
fn lock(layout: &Layout) -> io::Result<Option<File>> {
    let file = lock_file(layout)?;
    match fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
        Ok(_) => return Ok(Some(file)),
        Err(Errno::EAGAIN | Errno::EACCES) => {}
        Err(error) => return Err(error.into()),
    }
    if is_served(layout)? {
        return Ok(None);
    }
    // Its holder is dead, and about to let go.
    fcntl(&file, FcntlArg::F_SETLKW(&whole_file()))?;
    Ok(Some(file))
}

/// Whether a living process has the lock.
fn is_served(layout: &Layout) -> io::Result<bool> {
    let mut lock = whole_file();
    fcntl(lock_file(layout)?, FcntlArg::F_GETLK(&mut lock))?;
    let held = i32::from(lock.l_type) != libc::F_UNLCK;
    Ok(held && Process::find(lock.l_pid.cast_unsigned()).is_some())
}

fn lock_file(layout: &Layout) -> io::Result<File> {
    own(&layout.run().join("net.lock"))
}

fn whole_file() -> libc::flock {
    let (exclusive, start) = (libc::F_WRLCK, libc::SEEK_SET);
    let l_type = i16::try_from(exclusive).expect("a lock's kind fits");
    let l_whence = i16::try_from(start).expect("a lock's start fits");
    libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 }
}

/// How soon one looks again who is told nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until names work inside the task's namespace, so that a program that asks at once gets
/// an answer. The order: shim started and stored in `work` (stage Ready), [`ensure`],
/// [`crate::network::connect`], this, then stage Launched. `false` when the time is over.
pub fn wait(layout: &Layout, id: &TaskId, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    let task = layout.task(id);
    // Containers may have used up the user's watchers; then it looks again and again.
    let inotify =
        Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).and_then(|inotify| {
            inotify.add_watch(&task.0, AddWatchFlags::IN_MOVED_TO)?;
            Ok(inotify)
        });
    let inotify = inotify.ok();
    loop {
        if serves(&task)? {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let Some(inotify) = &inotify else {
            std::thread::sleep(left.min(LOOK_AGAIN));
            continue;
        };
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout)?;
        let _ = inotify.read_events(); // which one it was, the record says
    }
}

fn serves(task: &TaskDir) -> io::Result<bool> {
    let marker: Marker = load(&names_path(task))?.unwrap_or_default();
    let work: Work = load(&task.work())?.unwrap_or_default();
    Ok(marker.shim == work.shim && marker.server.is_some_and(|server| server.lives()))
}

/// `keel net ROOT`: serves until no task needs it. The exit code.
#[must_use]
pub fn main(layout: &Layout) -> i32 {
    let _ = setsid(); // fails where it leads a session already
    let _ = std::env::set_current_dir("/");
    allow_files();
    let home = Home::of(&layout.cgroup()).ok().flatten();
    // Where it may not, it ends with whoever started it, and is started again.
    let _ = home.as_ref().map(Home::enter);
    let ended = run(layout);
    let _ = home.as_ref().map(Home::leave);
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("keel net: {error}");
            1
        }
    }
}

/// The usual 1024 open files are used up by four containers that hold all the connections they may.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Without it there are fewer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn run(layout: &Layout) -> io::Result<()> {
    fs::create_dir_all(layout.run())?;
    let me = Process::find(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    loop {
        let Some(lock) = lock(layout)? else {
            return Ok(()); // another one serves
        };
        let upstream = forward::Upstream { resolv_conf: "/etc/resolv.conf".into(), port: 53 };
        let mut server = server::Server::new(layout, me.clone(), upstream);
        let end = runtime.block_on(server.run(|| note(&pid_path(layout), &me)))?;
        drop(server);
        for path in [pid_path(layout), crate::network::ports::held_path(layout)] {
            let _ = fs::remove_file(path);
        }
        drop(lock);
        // A task that came while it was ending found the lock taken, so it is ours to serve.
        let needed = tasks::read_all(layout)?.values().any(tasks::Task::attached);
        if end == End::Told || !needed {
            return Ok(());
        }
    }
}

/// What of `keel net` and the port tables is not as the tasks' records ask. Empty on an untouched host.
pub(crate) fn check(layout: &Layout, scope: &Scope) -> Result<Vec<NetworkFinding>, NetworkError> {
    settled(|| findings(layout, scope)).map_err(kernel("read the firewall's table"))
}

fn findings(layout: &Layout, scope: &Scope) -> io::Result<Vec<NetworkFinding>> {
    let tasks = match scope {
        Scope::All => tasks::read_all(layout)?,
        Scope::Of { tasks, .. } => {
            let read = |id: &TaskId| Some((id.clone(), tasks::read(&layout.task(id))?));
            tasks.iter().filter_map(read).collect()
        }
    };
    let needed = tasks.values().any(tasks::Task::attached);
    let mut findings = port_findings(layout, &tasks)?;
    if needed && (!layout.run().exists() || !is_served(layout)?) {
        findings.push(NetworkFinding {
            network: None,
            tasks: Vec::new(),
            what: FieldPath::NameServer,
            expected: "running".into(),
            observed: "missing".into(),
        });
    }
    Ok(findings)
}

fn port_findings(layout: &Layout, tasks: &tasks::Tasks) -> io::Result<Vec<NetworkFinding>> {
    let differences = port_table::differences(layout, &zone::port_table(tasks.values()))?;
    let finding = |difference: port_table::PortDifference| NetworkFinding {
        network: None,
        tasks: publishers(tasks, difference.key),
        what: FieldPath::PublishedPort {
            host_ip: difference.key.host_ip,
            published: difference.key.published,
            protocol: difference.key.protocol,
        },
        expected: difference.expected,
        observed: difference.observed,
    };
    Ok(differences.into_iter().map(finding).collect())
}

fn publishers(tasks: &tasks::Tasks, key: Key) -> Vec<TaskId> {
    let publishes = |task: &tasks::Task| {
        task.attached()
            && task.ports.iter().any(|port| {
                port.published == key.published
                    && port.protocol == key.protocol
                    && host_address(port) == key.host_ip
            })
    };
    tasks.iter().filter(|(_, task)| publishes(task)).map(|(id, _)| id.clone()).collect()
}

/// Tells `keel net` to write the port tables anew, if it runs (see [`ensure`]). It may take a moment.
pub(crate) fn nudge(layout: &Layout) -> Result<(), NetworkError> {
    let server = load::<Process>(&pid_path(layout));
    let told =
        server.and_then(|server| server.map_or(Ok(()), |server| tell(&server, Signal::SIGHUP)));
    told.map_err(kernel("tell `keel net` to write the port tables"))
}

#[cfg(test)]
mod tests;
