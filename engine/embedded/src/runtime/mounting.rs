//! Mounts that are attached to nothing yet: file systems of their own, and parts of the host's.
//!
//! # Invariants
//! - A detached mount is seen by nobody; dropping its descriptor is all that undoing it takes.

use super::mount_options::Options;
use crate::sys::{MountChange, change_mount};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A file system of its own; `name` is what the table of mounts calls its source.
pub fn file_system(kind: &str, name: &str, options: &Options) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", name)?;
    for option in &options.own {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context.as_fd(), key, value)?,
            None => fsconfig_set_flag(context.as_fd(), option.as_str())?,
        }
    }
    fsconfig_create(context.as_fd())?;
    let attributes = u32::try_from(options.attributes).map_err(|_| io::ErrorKind::InvalidInput)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes);
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// What the host has at `source`, a path that no container has a hand in, as a mount of its own.
pub fn part_of_host(source: &Path, options: &Options) -> io::Result<OwnedFd> {
    part(CWD, source, options)
}

/// What was opened on the host, as a mount of its own.
pub fn part_opened(opened: BorrowedFd<'_>, options: &Options) -> io::Result<OwnedFd> {
    part(opened, Path::new(""), options)
}

fn part(folder: BorrowedFd<'_>, path: &Path, options: &Options) -> io::Result<OwnedFd> {
    let tree = clone_at(folder, path, options.recursive)?;
    change_mount(tree.as_fd(), change(options))?;
    Ok(tree)
}

/// What is at `path` below an attached mount, as a mount of its own.
pub fn clone_at(folder: BorrowedFd<'_>, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let deep = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | deep;
    Ok(open_tree(folder, path, flags)?)
}

/// The change that brings a cloned mount to these options. Private unless told otherwise: what
/// is mounted on the host later is no business of the container's.
fn change(options: &Options) -> MountChange {
    let propagation = if options.propagation == 0 { libc::MS_PRIVATE } else { options.propagation };
    let clear =
        if options.attributes & libc::MOUNT_ATTR__ATIME == 0 { 0 } else { libc::MOUNT_ATTR__ATIME };
    MountChange { set: options.attributes, clear, propagation, recursive: options.recursive }
}

/// Attaches a detached mount on what `target` is.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", flags)?)
}

/// Makes a mount, and those below it, read-only.
pub fn make_read_only(mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let set = libc::MOUNT_ATTR_RDONLY;
    change_mount(mount, MountChange { set, recursive, ..MountChange::default() })
}

/// Nothing that is mounted from now on in this mount namespace is seen in another, or the other
/// way round.
pub fn be_private() -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, "/", flags, Mode::empty())?;
    let propagation = libc::MS_PRIVATE;
    change_mount(root.as_fd(), MountChange { propagation, recursive: true, ..Default::default() })
}
