//! How a node of the lab ends, without a trace outside of its folder.

use super::inhabitants::end_all;
use crate::layout::Layout;
use crate::network::{self, NetworkError};
use crate::runtime::cgroup::Cgroup;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Ends all that runs on a node, as if its power were cut.
pub fn end_node(node: &Layout) -> io::Result<()> {
    end_all(node.root())?;
    clear_cgroup(node)?;
    // A shim that was about to start something as the first of the two was done.
    end_all(node.root())
}

/// The same, and takes away what the node has outside of its folder and its network: what is in memory only, and what
/// was made of its root in the caller's network, should somebody have used it there.
pub fn clear_node(node: &Layout) -> io::Result<()> {
    end_node(node)?;
    network::teardown(node).map_err(|error: NetworkError| io::Error::other(error.to_string()))?;
    for late in [node.late(), node.late_holder()] {
        late.paths(node.root()).iter().for_each(|path| late.forget(path));
    }
    remove_from_memory(&node.secrets_in_memory())
}

/// The folder may be a file system of its own.
fn remove_from_memory(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    match umount2(folder, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL) => fs::remove_dir_all(folder),
        Err(error) => Err(error.into()),
    }
}

/// Ends what lives in a root's cgroup, and takes the cgroup away.
pub fn clear_cgroup(home: &Layout) -> io::Result<()> {
    Cgroup::at(&home.cgroup())?.clear()
}

/// Unmounts all that is mounted below a folder, the latest first. What is mounted there afterwards is an error:
/// whoever removes the folder would remove what is in it.
pub fn unmount_below(folder: &Path) -> io::Result<()> {
    for point in mounted_below(folder)?.iter().rev() {
        umount2(point, MntFlags::MNT_DETACH)?;
    }
    match mounted_below(folder)?.first() {
        None => Ok(()),
        Some(point) => Err(io::Error::other(format!("{} is still mounted", point.display()))),
    }
}

fn mounted_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let text = fs::read("/proc/thread-self/mountinfo")?;
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescaped(point))))
    });
    let below = |point: &PathBuf| {
        point.starts_with(folder) && point.as_os_str().as_bytes() != folder.as_os_str().as_bytes()
    };
    Ok(points.filter(below).collect())
}

/// Blanks and the like are written as a backslash with three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let code =
            digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        plain.push(code.unwrap_or(*first));
        rest = code.map_or(after, |_| &after[3..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_with_blanks_are_found() {
        assert_eq!(unescaped(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescaped(b"/a\\"), b"/a\\");
    }
}
