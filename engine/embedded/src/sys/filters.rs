//! Filters of system calls and devices.
#![expect(unsafe_code, reason = "wraps kernel calls; see the module's header")]

use seccompiler::BpfProgramRef;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Installs a filter for this thread and what it executes. Sets no `no_new_privs`, which
/// seccompiler's own function would: set-user-id programs must keep working.
pub fn install_filter(program: BpfProgramRef<'_>) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // JUSTIFICATION: seccompiler couples this call to no_new_privs.
    // SAFETY: seccompiler's `sock_filter` is the kernel's (repr C, the same four fields); the
    // program and its length outlive the call, and the kernel copies them.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const filter) };
    super::check(done).map(drop)
}

/// Leaves the session keyring that this process was born with for a new one of its own
/// (`keyctl(2)`).
pub fn leave_session_keyring() -> io::Result<()> {
    let (join, unnamed) = (libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>());
    // JUSTIFICATION: no safe crate among ours speaks keyctl(2).
    // SAFETY: this operation reads one C string, and a null pointer stands for none.
    super::check(unsafe { libc::syscall(libc::SYS_keyctl, join, unnamed) }).map(drop)
}

/// The beginning of the kernel's `bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

/// The beginning of the kernel's `bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// Loads a program that decides about devices (`BPF_PROG_TYPE_CGROUP_DEVICE`); each instruction
/// is the kernel's eight bytes.
pub fn load_device_program(instructions: &[u64]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttributes::default()
    };
    let (from, size) = (&raw const attributes, size_of::<LoadAttributes>());
    // JUSTIFICATION: no safe crate among ours speaks bpf(2).
    // SAFETY: `attributes` is initialised and its size is given; the pointers inside are to
    // memory that outlives the call; the kernel verifies the program.
    let fd = super::check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, from, size) })?;
    let fd = i32::try_from(fd).expect("a descriptor is a small number");
    // SAFETY: the kernel has just made it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup, beside those of its parents.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    let (from, size) = (&raw const attributes, size_of::<AttachAttributes>());
    // SAFETY: both descriptors are borrowed, so open; `attributes` is initialised and its size
    // is given.
    super::check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, from, size) }).map(drop)
}
