//! Keeps this program out of containers' reach.
//!
//! For a moment a container's process is a copy of this program, and the container could make it
//! execute `/proc/self/exe`, keep a descriptor of it, and overwrite the host's file later. So what
//! enters containers runs from a read-only overlay of itself, which nobody can write through; on
//! kernels or file systems that have none, from a sealed copy in memory.

use crate::sys;
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Goes on in a sealed copy of this program, with the same arguments and environment; of the
/// descriptors with those below `kept` alone: the others were meant for whoever started it, which
/// this outlives. Returns at once in one.
pub fn run_sealed(kept: u32) -> io::Result<()> {
    let own = File::open("/proc/self/exe")?;
    if is_sealed(&own) {
        return Ok(());
    }
    let path = std::env::current_exe()?;
    let sealed = overlay(&path).or_else(|_| memory(&own))?;
    let text = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::from);
    let arguments = std::env::args_os().map(text).collect::<io::Result<Vec<_>>>()?;
    let environment = std::env::vars_os()
        .map(|(key, value)| text([key, OsString::from("="), value].into_iter().collect()));
    let environment = environment.collect::<io::Result<Vec<_>>>()?;
    sys::close_on_exec_from(kept)?;
    let Err(error) = nix::unistd::fexecve(sealed, &arguments, &environment);
    Err(error.into())
}

/// Whether this program runs from an overlay that nobody can write through.
pub fn is_own_overlay() -> io::Result<bool> {
    Ok(is_overlay(&File::open("/proc/self/exe")?))
}

fn is_sealed(own: &File) -> bool {
    let seals = rustix::fs::fcntl_get_seals(own).unwrap_or(SealFlags::empty());
    seals.contains(SealFlags::WRITE) || is_overlay(own)
}

fn is_overlay(own: &File) -> bool {
    const OVERLAY: i64 = 0x794c_7630;
    let overlay = rustix::fs::fstatfs(own).is_ok_and(|stat| stat.f_type == OVERLAY);
    let read_only =
        rustix::fs::fstatvfs(own).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    overlay && read_only
}

/// The program's folder as a file system without a writable layer, attached to nothing.
fn overlay(program: &Path) -> io::Result<OwnedFd> {
    let (folder, name) = (program.parent(), program.file_name());
    let (folder, name) = folder.zip(name).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let (folder, other) = (openat(CWD, folder, flags, Mode::empty())?, empty_folder()?);
    let named = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Without a writable layer overlayfs wants two.
    let layers = format!("{}:{}", named(&folder), named(&other));
    fsconfig_set_string(context.as_fd(), "lowerdir", layers)?;
    fsconfig_set_flag(context.as_fd(), "ro")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(mount.as_fd(), name, flags, Mode::empty())?)
}

/// A folder of memory, attached to nothing.
fn empty_folder() -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn memory(own: &File) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create("keel", flags)?);
    io::copy(&mut &*own, &mut copy)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}
