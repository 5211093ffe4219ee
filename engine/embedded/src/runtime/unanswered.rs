//! Ends the waiting for file systems that a container's own programs answer for (FUSE).
//!
//! Whoever has asked such a file system hears no signal, not even SIGKILL, until the answer comes.
//! A process that asked one which it holds open itself waits for ever, and so does its container's
//! end. What helps is to end the connection: whoever waits is told so, and dies.
//!
//! # Invariants
//! - A file system that the host has mounted is the host's, whatever container sees it: it stays.

use super::mount_options::Options;
use super::mounting;
use rustix::fs::{Mode, OFlags, openat};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsFd;

/// Ends the connections of all file systems that these processes hold or have mounted.
pub fn give_up(pids: &[u32]) {
    let mut connections = BTreeSet::new();
    for pid in pids {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        connections.extend(mounted(&mounts));
        connections.extend(held(*pid));
    }
    for host in ["self", "1"] {
        let mounts = fs::read_to_string(format!("/proc/{host}/mountinfo")).unwrap_or_default();
        mounted(&mounts).for_each(|number| {
            connections.remove(&number);
        });
    }
    if !connections.is_empty() {
        // Where it cannot be done the processes stay, and whoever wants their end is told that.
        let _ = end(&connections);
    }
}

/// The connections behind a table of mounts: `ID PARENT MAJOR:MINOR ROOT POINT … - TYPE …`.
fn mounted(mountinfo: &str) -> impl Iterator<Item = u32> {
    mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let is_fuse = matches!(after.split(['.', ' ']).next(), Some("fuse" | "fuseblk"));
        let device = before.split(' ').nth(2)?;
        is_fuse.then(|| number(device))?
    })
}

fn number(device: &str) -> Option<u32> {
    let (major, minor) = device.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    // As the kernel keeps both in one number, which is the connection's name.
    Some(major << 20 | minor)
}

/// Those that a process has open, mounted or not; kernels before 6.16 do not tell.
fn held(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let connection = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("fuse_connection:"))?;
        line.trim().parse().ok()
    };
    entries.filter_map(connection).collect()
}

fn end(connections: &BTreeSet<u32>) -> io::Result<()> {
    let control = mounting::file_system("fusectl", "keel", &Options::default())?;
    for number in connections {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(control.as_fd(), format!("{number}/abort"), flags, Mode::empty());
        // It may be gone by now.
        if let Ok(abort) = opened {
            rustix::io::write(&abort, b"1")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_told_by_the_devices_of_mounts() {
        let table = "40 30 0:69 / /mnt rw,nosuid - fuse prober rw,user_id=0\n\
                     41 30 0:70 / /a\\040b rw shared:5 - fuse.sshfs host: rw\n\
                     42 30 8:1 / /disk rw - fuseblk /dev/sda1 rw\n\
                     43 30 8:2 / /other rw - ext4 /dev/sda2 rw\n\
                     44 30 0:25 / /ctl rw - fusectl fusectl rw\n";
        assert_eq!(mounted(table).collect::<Vec<_>>(), [69, 70, 8 << 20 | 1]);
    }
}
