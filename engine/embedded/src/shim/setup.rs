//! How a shim comes to be: sealed, in the background, alone in its network namespace.

use crate::runtime::cgroup::Home;
use crate::runtime::channel::Channel;
use crate::runtime::failure::{AtStep, Failure};
use crate::runtime::spawn;
use crate::sys;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// The network namespace that a shim holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A new one, with `lo` up.
    New,
    /// The host's.
    Host,
    /// This one: `/proc/PID/ns/net`. To adopt, that of the container's process.
    Join(PathBuf),
}

/// Leaves the session, folder and stdio of whoever started it.
pub fn detach() -> Result<(), Failure> {
    rustix::process::setsid().step("start a session")?;
    std::env::set_current_dir("/").step("leave the folder")?;
    let null = super::streams::null().step("open /dev/null")?;
    dup2_stdin(&null).step("leave standard input")?;
    dup2_stdout(&null).step("leave standard output")?;
    dup2_stderr(&null).step("leave standard error")?;
    rustix::thread::set_name(c"keel-shim").step("set the name")?;
    let own = Some(rustix::process::getpid());
    rustix::process::set_child_subreaper(own).step("adopt orphans")
}

/// Makes or joins the network namespace that the task has. Hands back the one before.
pub fn enter_network(network: &Network) -> Result<OwnedFd, Failure> {
    let before = File::open("/proc/self/ns/net").step("open the host's network")?;
    move_to(network)?;
    Ok(before.into())
}

fn move_to(network: &Network) -> Result<(), Failure> {
    match network {
        Network::Host => Ok(()),
        Network::Join(path) => {
            let namespace = File::open(path).step(format_args!("open `{}`", path.display()))?;
            nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET)
                .step(format_args!("join the network of `{}`", path.display()))
        }
        Network::New => {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).step("make a network namespace")?;
            let (family, kind) = (AddressFamily::INET, SocketType::DGRAM);
            let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None);
            let socket = socket.step("make a socket")?;
            sys::bring_loopback_up(socket.as_fd()).step("bring lo up")
        }
    }
}

/// The signal that carries a person's: a real-time one, since two of any other are one.
pub fn persons() -> i32 {
    libc::SIGRTMIN() + 1
}

/// Signals that are read, one by one, from a descriptor.
pub fn signals() -> Result<SignalFd, Failure> {
    let ours = [
        Signal::SIGCHLD,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ];
    let numbers = ours.map(|signal| signal as i32).into_iter().chain([persons()]);
    let set: SigSet = sys::signal_set(numbers);
    set.thread_block().step("block signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&set, flags).step("open a descriptor for signals")
}

/// Prepares and lives in the background, in the root's own cgroup where there is one. Here it returns once that is prepared, there never.
pub fn in_background<T>(
    cgroup: &str,
    prepare: impl FnOnce() -> Result<T, Failure>,
    live: impl FnOnce(T),
) -> Result<(), Failure> {
    let (ours, theirs) = Channel::pair().step("make a socket pair")?;
    let home = Home::of(cgroup).ok().flatten().and_then(|home| home.birthplace().ok());
    let inside = sys::Clone3 { cgroup: home.as_ref().map(AsFd::as_fd), ..Default::default() };
    // A host that does not let it there still gets its shim.
    let cloned = sys::clone3(inside).or_else(|_| sys::clone3(sys::Clone3::default()));
    match cloned.step("fork")? {
        sys::Cloned::Parent(_) => {
            drop(theirs);
            spawn::hear_of(&ours)
        }
        sys::Cloned::Child => {
            drop(ours);
            match prepare() {
                Ok(prepared) => {
                    let _ = theirs.born(std::process::id());
                    drop(theirs);
                    live(prepared);
                    sys::exit_now(0)
                }
                Err(failure) => {
                    let _ = theirs.failed(&failure);
                    sys::exit_now(failure.code)
                }
            }
        }
    }
}
