//! Configs and secrets by digest, 0600: `secrets/HEX`. On a node that has them from a controller elsewhere they are
//! in memory only: `secrets` leads to a folder that does not outlive the machine's next start.

use crate::Layout;
use crate::root::trees;
use keel_durable::Hold;
use keel_engine::{Assignment, Content, Digest, TaskSpec, tree};
use rustix::fs::statfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `linux/magic.h`.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Keeps contents in memory from now on, those that were on the disk, too.
///
/// # Errors
/// Where the folder cannot be made in memory, or what was on the disk cannot be moved: then it stays there.
pub fn keep_in_memory(layout: &Layout) -> io::Result<()> {
    let (there, memory) = (layout.secrets(), layout.secrets_in_memory());
    match fs::symlink_metadata(&there) {
        Ok(found) if found.is_symlink() => return Ok(()),
        Ok(_) => moved(&there, &memory)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(&memory, &there)
}

/// Whether this node has them, and what else it is not to keep, from a controller elsewhere.
pub(crate) fn come_from_elsewhere(layout: &Layout) -> bool {
    layout.secrets().is_symlink()
}

/// The folder of contents, made where it is missing.
pub(crate) fn folder(layout: &Layout) -> io::Result<PathBuf> {
    let there = layout.secrets();
    match come_from_elsewhere(layout) {
        true => make_in_memory(&layout.secrets_in_memory())?,
        false if !there.is_dir() => keel_durable::make_folder(&there, 0o700)?,
        false => {}
    }
    Ok(there)
}

/// `/run` is in memory on most machines; where it is not, a file system of its own is.
fn make_in_memory(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        keel_durable::make_folder(folder, 0o700)?;
    }
    if !is_in_memory(folder)? {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("keel-secrets", folder, "tmpfs", flags, Some(c"mode=700"))?;
    }
    Ok(())
}

/// What a task names is in one of both places at any time but the last moment.
fn moved(from: &Path, to: &Path) -> io::Result<()> {
    let entries: Vec<_> = fs::read_dir(from)?.collect::<io::Result<_>>()?;
    if !entries.is_empty() {
        make_in_memory(to)?;
    }
    for entry in entries {
        let bytes = fs::read(entry.path())?;
        keel_durable::replace(&to.join(entry.file_name()), &bytes, 0o600, Hold::Process)?;
    }
    keel_beneath::remove(from)
}

fn is_in_memory(folder: &Path) -> io::Result<bool> {
    #[allow(clippy::useless_conversion, reason = "the type differs between architectures")]
    let kind = i64::from(statfs(folder)?.f_type);
    Ok(IN_MEMORY.contains(&kind))
}

/// What is here under this digest.
pub(crate) fn handed(layout: &Layout, digest: &Digest) -> io::Result<Option<Assignment>> {
    match fs::read(layout.secrets().join(digest.hex())) {
        Ok(bytes) => {
            let content = Some(Content::of(bytes)).filter(|content| content.digest == *digest);
            return Ok(content.map(Assignment::Content));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let files = trees::place(layout, digest);
    match files.try_exists()? {
        true => tree::tree_at(*digest, files).map(|tree| Some(Assignment::Tree(tree))),
        false => Ok(None),
    }
}

/// Removes what a task that is gone named and no other does, where contents are in memory; elsewhere a sweep does,
/// once they are old. One that is on its way to another task is handed over again when that task says it waits.
pub(crate) fn forget<'a>(
    layout: &Layout,
    gone: &TaskSpec,
    others: impl Iterator<Item = &'a TaskSpec>,
) {
    if !come_from_elsewhere(layout) {
        return;
    }
    let needed: BTreeSet<Digest> = others.flat_map(TaskSpec::contents).collect();
    for digest in gone.contents().filter(|digest| !needed.contains(digest)) {
        // It may be a tree, or gone already; what is left goes with a sweep.
        let _ = fs::remove_file(layout.secrets().join(digest.hex()));
    }
    leave(&layout.secrets_in_memory());
}

/// The folder goes with the last of them.
fn leave(folder: &Path) {
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty
        && fs::remove_dir(folder).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy)
    {
        // What came meanwhile keeps it mounted: nothing is lost with an empty one.
        let _ = unmount(folder, UnmountFlags::empty()).map(|()| fs::remove_dir(folder));
    }
}
