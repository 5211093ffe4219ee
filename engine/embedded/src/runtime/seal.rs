//! Keeps this program out of containers' reach.
//!
//! For a moment a container's process is a copy of this program, and the container could make it
//! execute `/proc/self/exe`, keep a descriptor of it, and overwrite the host's file later. So what
//! enters containers runs from a read-only overlay, which nobody can write through; on kernels or
//! file systems that have none, from a sealed copy in memory. What lies below that overlay is not
//! the host's file but a copy of the root's own: a fault of the kernel that lets a reader change
//! cached pages (CVE-2022-0847 and its kin) does not change what the host executes.

use super::mounting;
use crate::sys;
use keel_durable::boot_id;
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Goes on in a sealed copy of this program, with the same arguments and without an environment:
/// what whoever started it has there, tokens say, is not for a process that enters containers. Of
/// the descriptors with those below `kept` alone: the others were meant for whoever started it,
/// which this outlives. Returns at once in one.
pub fn run_sealed(programs: &Path, kept: u32) -> io::Result<()> {
    let own = File::open("/proc/self/exe")?;
    if is_sealed(&own) {
        return Ok(());
    }
    let sealed = own_copy(programs, "shim")
        .and_then(|copy| overlay(&copy))
        // A full disk keeps nobody from starting.
        .or_else(|_| overlay(&std::env::current_exe()?))
        .or_else(|_| memory(&own))?;
    let text = |text: OsString| CString::new(text.into_vec()).map_err(io::Error::from);
    let arguments = std::env::args_os().map(text).collect::<io::Result<Vec<_>>>()?;
    sys::close_on_exec_from(kept)?;
    let Err(error) = nix::unistd::fexecve::<_, CString, CString>(sealed, &arguments, &[]);
    Err(error.into())
}

/// A copy of this program for one use, below the folder of copies; made where it is missing, in
/// place of those of other versions. It holds until the next boot, so that it need not be synced.
pub fn own_copy(programs: &Path, usage: &str) -> io::Result<PathBuf> {
    let own = File::open("/proc/self/exe")?.metadata()?;
    let version = [
        boot_id(),
        format!("{}:{}:{}", own.dev(), own.ino(), own.len()),
        format!("{}.{}:{}.{}", own.mtime(), own.mtime_nsec(), own.ctime(), own.ctime_nsec()),
    ];
    let version = keel_engine::digest_of(&version);
    let folder = programs.join(format!("{usage}-{}", version.short()));
    let program = folder.join("keel");
    if !program.exists() {
        let room = rustix::fs::statvfs(programs.parent().unwrap_or(programs))?;
        // Not the last room: what is left is for records and data.
        if room.f_bavail.saturating_mul(room.f_frsize) / 4 < own.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        copy_to(programs, &folder, usage)?;
        remove_others(programs, usage, &folder);
    }
    Ok(program)
}

/// Whole or not at all; whoever comes second lets the first have it.
fn copy_to(programs: &Path, folder: &Path, usage: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(programs)?;
    let new = programs.join(format!(".{usage}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&new);
    let made = fs::create_dir(&new)
        .and_then(|()| fs::copy("/proc/self/exe", new.join("keel")))
        .and_then(|_| fs::rename(&new, folder));
    if made.is_err() {
        let _ = fs::remove_dir_all(&new);
    }
    if folder.join("keel").exists() { Ok(()) } else { made }
}

/// What runs from one of them goes on: it has it open.
fn remove_others(programs: &Path, usage: &str, but: &Path) {
    for entry in fs::read_dir(programs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with(&format!("{usage}-")));
        if ours && entry.path() != but {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A program that [`own_copy`] made, as a mount that nobody can write through, attached to nothing.
pub fn part_of(program: &Path) -> io::Result<OwnedFd> {
    let name = program.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    mounting::clone_at(overlay_of_folder(program)?.as_fd(), Path::new(name), false)
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

/// The program in its folder's overlay.
fn overlay(program: &Path) -> io::Result<OwnedFd> {
    let name = program.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(overlay_of_folder(program)?.as_fd(), name, flags, Mode::empty())?)
}

/// The program's folder as a file system without a writable layer, attached to nothing.
fn overlay_of_folder(program: &Path) -> io::Result<OwnedFd> {
    let folder = program.parent().ok_or(io::ErrorKind::InvalidInput)?;
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
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
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
