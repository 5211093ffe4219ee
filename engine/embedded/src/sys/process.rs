//! Making processes, and what they are born with.
#![expect(unsafe_code, reason = "wraps kernel calls; see the module's header")]

use nix::sys::signal::SigSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How [`clone3`] makes a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone3<'a> {
    /// `CLONE_NEW*`, `CLONE_PARENT`. Nothing that shares memory, files or handlers.
    pub flags: u64,
    /// The version 2 cgroup that it is born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// On which side of [`clone3`] one is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The old one, with the new one's pid as it sees it.
    Parent(u32),
}

/// A new process with a copy of this one's memory (`clone3(2)`). For single-threaded callers
/// only: another thread's locks would stay locked in the copy.
pub fn clone3(how: Clone3<'_>) -> io::Result<Cloned> {
    let sharing = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_FS | libc::CLONE_SIGHAND;
    // SAFETY: all-zero bytes are a valid `clone_args`: integers alone.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = how.flags & !u64::from(sharing.cast_unsigned());
    if how.flags & u64::from(libc::CLONE_PARENT.cast_unsigned()) == 0 {
        args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    if let Some(cgroup) = how.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // JUSTIFICATION: no safe crate offers clone3, and fork() can neither enter a cgroup nor be
    // another's sibling.
    // SAFETY: `args` is initialised, lives through the call and its size is given; no stack is
    // named and memory is not shared, so the child goes on with its own copy, as after fork().
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    Ok(match super::check(pid)? {
        0 => Cloned::Child,
        pid => Cloned::Parent(u32::try_from(pid).expect("a pid is positive and fits")),
    })
}

/// A new process with a copy of this one's memory, a child of this one's parent, by the older call
/// (`clone(2)`) that filters of system calls can read and let through. For single-threaded callers
/// only.
pub fn clone_sibling() -> io::Result<Cloned> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    let none = 0 as libc::c_long;
    // JUSTIFICATION: fork() of libc makes no siblings, and clone3 is refused by docker's filter.
    // SAFETY: no stack is named and memory is not shared, so the child goes on with its own copy,
    // as after fork(); without flags that use them, the other arguments are ignored.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    Ok(match super::check(pid)? {
        0 => Cloned::Child,
        pid => Cloned::Parent(u32::try_from(pid).expect("a pid is positive and fits")),
    })
}

/// libc has it as a number of 32 bits on some targets, where it does not fit.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Ends this process without running anything of the process that it is a copy of.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Every signal gets its default action again, and none is blocked. Rust ignores SIGPIPE, and an
/// ignored signal stays ignored over exec.
pub fn default_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // SAFETY: installs no handler, so no code of ours can run in one. Signals that cannot be
        // changed are refused, which is as it should be.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// Signals by number, real-time ones included; what is no signal's number is left out.
pub fn signal_set(numbers: impl IntoIterator<Item = i32>) -> SigSet {
    let mut set = *SigSet::empty().as_ref();
    for number in numbers {
        // SAFETY: `set` is an initialised set of signals; a wrong number is refused.
        unsafe { libc::sigaddset(&raw mut set, number) };
    }
    // SAFETY: `set` was filled in by libc.
    unsafe { SigSet::from_sigset_t_unchecked(set) }
}

/// Waits for one of these signals, all of which are blocked; its number.
pub fn wait_for_signal(set: &SigSet) -> io::Result<i32> {
    // JUSTIFICATION: nix's own has no number for a real-time signal.
    // SAFETY: the set is libc's own and lives through the call; a null pointer for what else would
    // be told of the signal is allowed.
    let number = unsafe { libc::sigwaitinfo(set.as_ref(), std::ptr::null_mut()) };
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

/// Sends a signal, real-time ones included, to a child that is not reaped yet.
pub fn signal_child(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes two numbers and touches no memory.
    if unsafe { libc::kill(pid, signal) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets a command be born with default signals: std's own keeps what is blocked.
pub fn born_with_default_signals(command: &mut Command) -> &mut Command {
    // SAFETY: the closure only makes system calls, which is allowed between fork and exec.
    unsafe { command.pre_exec(default_signals) }
}

/// Lets a command be born with standard input, output and error alone: of what this process was
/// itself born with, nothing is for a program that outlives it.
pub fn born_alone(command: &mut Command) -> &mut Command {
    // SAFETY: the closure only makes a system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(|| close_on_exec_from(3)) }
}

/// Lets a command be born as the leader of a session of its own: no terminal's end reaches it.
pub fn born_in_own_session(command: &mut Command) -> &mut Command {
    let leave = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: the closure only makes a system call, which is allowed between fork and exec.
    unsafe { command.pre_exec(leave) }
}

/// Sends a signal, real-time ones included (`pidfd_send_signal(2)`).
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // JUSTIFICATION: rustix's signal type has no real-time signals.
    // SAFETY: `pidfd` is borrowed, so open; a null siginfo is allowed.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, nothing, 0)
    };
    super::check(done).map(drop)
}

/// The kernel's `siginfo_t`, as far as it carries a queued value.
#[repr(C)]
struct Queued {
    signal: i32,
    error: i32,
    code: i32,
    pad: i32,
    pid: i32,
    uid: u32,
    value: u64,
    rest: [u8; 96],
}

/// Sends a signal that carries a number.
pub fn queue_signal(pidfd: BorrowedFd<'_>, signal: i32, value: i32) -> io::Result<()> {
    let value = u64::from(value.cast_unsigned());
    let (pid, uid) = (std::process::id().cast_signed(), 0);
    let code = libc::SI_QUEUE;
    let info = Queued { signal, error: 0, code, pad: 0, pid, uid, value, rest: [0; 96] };
    const { assert!(size_of::<Queued>() == size_of::<libc::siginfo_t>()) };
    // JUSTIFICATION: neither nix nor rustix queues signals.
    // SAFETY: `pidfd` is borrowed, so open; `info` is initialised, has the size of the kernel's
    // structure, and lives through the call.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, &raw const info, 0)
    };
    super::check(done).map(drop)
}

/// Every descriptor from `first` on is closed by exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    let flag = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: only sets a flag of descriptors; owners keep them.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flag) };
    super::check(done).map(drop)
}

/// Closes every descriptor but these. For a process that is a copy of another and ends with exec or
/// [`exit_now`]: nothing that owns one of them in that copy may ever run again, not even a drop.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for kept in keep.into_iter().map(Some).chain([None]) {
        let last = kept.map_or(Some(u32::MAX), |kept| kept.checked_sub(1));
        if let Some(last) = last.filter(|last| *last >= first) {
            // SAFETY: only the caller's word, given above, makes this right: what owns these
            // descriptors does not use or close them any more.
            super::check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
        first = kept.map_or(first, |kept| kept + 1);
    }
    Ok(())
}
