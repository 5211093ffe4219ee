//! `keel shim`: one per container; parent and subreaper. Copies logs, records the exit, restarts
//! by policy, probes health, and holds the task's network namespace through all runs.
//!
//! The engine speaks to it by records and signals: it writes `assignment` and `work`, then sends
//! SIGUSR1. The shim answers in `state`. SIGUSR2 says that no traffic comes any more; a
//! real-time signal, for those queue, carries a signal for the container ([`signal`]).
//!
//! # Invariants
//! - One thread, no async runtime, next to no heap: what needs memory is done in child processes.
//! - A container outlives its shim; another shim takes it over (`--adopt`). What is lost then: its
//!   terminal or standard input, whoever was attached, and how it ends.
//! - A shim's last act for a task that removes itself is to start `keel reap ROOT ID`.

mod attached;
mod check_run;
mod ending;
mod health;
mod lives;
mod orders;
mod output;
mod restart;
mod run;
mod setup;
mod stamp;
mod stdin;
mod streams;
mod supervisor;
mod wait;
mod wish;

pub use setup::Network;
pub use wish::ends_with_its_shim;

use crate::root::late;
use crate::root::layout::{Layout, TaskDir};
use crate::root::record::{self, Activity, Process, ShimState};
use crate::runtime::failure::{AtStep, CANNOT_START, Failure};
use crate::runtime::patience::Stuck;
use crate::runtime::{enter, seal, tiny_init};
use crate::sys;
use keel_durable::Hold;
use keel_engine::TaskId;
use nix::sched::CloneFlags;
use orders::Orders;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use supervisor::{FIRST_PAUSE, LONGEST_PAUSE, Supervisor};

/// How a shim is started: `keel shim TASKDIR ROOT [--netns PATH | --host-network] [--adopt]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The task's folder.
    pub dir: PathBuf,
    /// The root.
    pub root: PathBuf,
    /// Which network namespace.
    pub network: Network,
    /// A shim before this one died: take over the process that `state` names, if it lives.
    pub adopt: bool,
}

impl Launch {
    /// The command that starts it. The shim leaves session, directory and stdio by itself and goes
    /// on in the background: the command ends with 0 once `state` is written (the network
    /// namespace exists and can be plumbed at `/proc/SHIM/ns/net`), else with the reason on
    /// standard error.
    #[must_use]
    pub fn command(&self, keel: &Path) -> Command {
        let mut command = Command::new(keel);
        command.env_clear().arg("shim").arg(&self.dir).arg(&self.root);
        match &self.network {
            Network::New => {}
            Network::Host => {
                command.arg("--host-network");
            }
            Network::Join(path) => {
                command.arg("--netns").arg(path);
            }
        }
        if self.adopt {
            command.arg("--adopt");
        }
        command
    }

    /// Reads what comes after `shim`.
    #[must_use]
    pub fn parse(arguments: &[OsString]) -> Option<Self> {
        let [dir, root, options @ ..] = arguments else { return None };
        let (dir, root) = (dir.into(), root.into());
        let mut launch = Self { dir, root, network: Network::New, adopt: false };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match option.to_str()? {
                "--netns" => launch.network = Network::Join(options.next()?.into()),
                "--host-network" => launch.network = Network::Host,
                "--adopt" => launch.adopt = true,
                _ => return None,
            }
        }
        Some(launch)
    }
}

/// Runs `shim`, `enter` or `init` if that is what the arguments (without the program's name) ask
/// for. To be called first thing in `main`, before anything is set up.
#[must_use]
pub fn dispatch(arguments: &[OsString]) -> Option<i32> {
    let (command, rest) = arguments.split_first()?;
    match (command.to_str()?, rest) {
        ("shim", rest) => Some(match Launch::parse(rest) {
            Some(launch) => run(&launch),
            None => usage("keel shim TASKDIR ROOT [--netns PATH | --host-network] [--adopt]"),
        }),
        ("enter", [dir]) => Some(enter::main(Path::new(dir))),
        ("init", [dashes, command @ ..]) if dashes == "--" => Some(tiny_init::main(command)),
        _ => None,
    }
}

fn usage(text: &str) -> i32 {
    eprintln!("usage: {text}");
    64
}

/// Starts a shim with a network namespace of its own, as [`dispatch`] does.
#[must_use]
pub fn main(dir: &Path, layout: &Layout) -> i32 {
    let (dir, root) = (dir.to_owned(), layout.root().to_owned());
    run(&Launch { dir, root, network: Network::New, adopt: false })
}

fn run(launch: &Launch) -> i32 {
    let layout = Layout::new(&launch.root);
    let ran = seal::run_sealed(&layout.programs(), 3).step("seal this program").and_then(|()| {
        let cgroup = layout.cgroup();
        setup::in_background(&cgroup, || Shim::prepare(launch), Shim::live)
    });
    match ran {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("{failure}");
            failure.code
        }
    }
}

/// A shim that is up.
struct Shim {
    supervisor: Supervisor,
    root: PathBuf,
    id: TaskId,
    /// The network namespace that it was started in.
    outside: OwnedFd,
}

impl Shim {
    fn prepare(launch: &Launch) -> Result<Self, Failure> {
        let signals = setup::signals()?;
        setup::detach()?;
        let outside = setup::enter_network(&launch.network)?;
        let (dir, layout) = (TaskDir(launch.dir.clone()), Layout::new(&launch.root));
        let id = task_id(&launch.dir)?;
        let mut state = last_state(&dir, launch.adopt)?;
        state.shim = Process::find(std::process::id());
        let orders = Orders::read(&dir, state.run).step("read the task's records")?;
        let mut supervisor = Supervisor {
            attached: attached::Attached::listen(&dir.attach()).step("listen for clients")?,
            log: output::Log::open(&dir.log()).step("open the log")?,
            cgroup: format!("{}/{}", layout.cgroup(), id.short()),
            input: stdin::Input::default(),
            run: None,
            pause: None,
            pauses: restart::Pauses::default(),
            asked: None,
            size: None,
            unstored: None,
            buffer: Box::new([0; streams::CHUNK]),
            stuck: Stuck::default(),
            done: false,
            dir,
            signals,
            state,
            orders,
        };
        if launch.adopt {
            supervisor.adopt();
        }
        first_word(&supervisor.dir, &supervisor.state, launch.adopt).step("write the state")?;
        Ok(Self { supervisor, root: launch.root.clone(), id, outside })
    }

    fn live(mut self) {
        self.supervisor.serve();
        let (dir, state) = (self.supervisor.dir.clone(), self.supervisor.state.clone());
        let leaves = self.supervisor.orders.auto_remove && state.activity == Activity::Exited;
        // The socket goes before the last word.
        drop(self.supervisor);
        last_word(&dir, &state);
        if leaves && nix::sched::setns(&self.outside, CloneFlags::CLONE_NEWNET).is_ok() {
            let mut keel = Command::new("/proc/self/exe");
            keel.arg("reap").arg(&self.root).arg(self.id.as_str());
            let _ = sys::born_with_default_signals(&mut keel).spawn();
        }
    }
}

/// On a disk that takes none nothing begins. What runs already is taken over there, too: else nobody could
/// end it.
fn first_word(dir: &TaskDir, state: &ShimState, adopt: bool) -> io::Result<()> {
    if adopt {
        return late::store_state(dir, state, Hold::Either).map(drop);
    }
    record::note(&dir.state(), state)?;
    late::forget_state(dir);
    Ok(())
}

/// Where nothing takes it, there is nobody else who knows: it is tried until somebody does, or the task goes.
fn last_word(dir: &TaskDir, state: &ShimState) {
    let mut pause = FIRST_PAUSE;
    while late::store_state(dir, state, Hold::Power).is_err() && dir.0.exists() {
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn task_id(dir: &Path) -> Result<TaskId, Failure> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    TaskId::new(name).map_err(|wrong| Failure { code: CANNOT_START, message: wrong.to_string() })
}

/// What is left of an earlier shim's record. Without adopting, no process is known.
fn last_state(dir: &TaskDir, adopt: bool) -> Result<ShimState, Failure> {
    let last = late::load_state(dir).step("read the last state")?.unwrap_or_default();
    if adopt {
        return Ok(last);
    }
    Ok(ShimState { activity: Activity::Waiting, process: None, next: None, restarts: 0, ..last })
}

/// Sends a signal to process 1 of a container, by its shim, so that an end by it is known to be
/// ours ([`keel_engine::ExitCause::Stopped`]). The restart policy still applies.
pub fn signal(state: &ShimState, signal: i32) -> io::Result<()> {
    let gone = || io::Error::from_raw_os_error(libc::ESRCH);
    let shim = state.shim.as_ref().ok_or_else(gone)?;
    let pid = Pid::from_raw(shim.pid.cast_signed()).ok_or_else(gone)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    if !shim.lives() {
        return Err(gone());
    }
    sys::queue_signal(pidfd.as_fd(), setup::persons(), signal)
}
