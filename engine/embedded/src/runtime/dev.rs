//! /dev of a container: the few nodes and links that every program expects.

use super::failure::{AtStep, Failure};
use super::oci::{Device, DeviceKind};
use super::within::Root;
use rustix::fs::{FileType, Gid, Mode, Uid, chownat, makedev, mknodat, symlinkat};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Name, major, minor.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// Fills a fresh /dev.
pub fn fill(dev: BorrowedFd<'_>) -> Result<(), Failure> {
    for (name, major, minor) in NODES {
        let device = makedev(major, minor);
        let mode = Mode::from_raw_mode(0o666);
        mknodat(dev, name, FileType::CharacterDevice, mode, device)
            .step(format_args!("make /dev/{name}"))?;
    }
    for (target, name) in LINKS {
        symlinkat(target, dev, name).step(format_args!("make /dev/{name}"))?;
    }
    Ok(())
}

/// Makes one further device.
pub fn make(root: &Root, device: &Device) -> Result<(), Failure> {
    let path = &device.path;
    let step = format!("make device `{}`", path.display());
    let wrong = || Failure::at(&step, "not an absolute path");
    let name = path.file_name().ok_or_else(wrong)?;
    let parent = root.folder(path.parent().unwrap_or(Path::new("/")))?;
    let kind = match device.kind {
        DeviceKind::B => FileType::BlockDevice,
        DeviceKind::P => FileType::Fifo,
        _ => FileType::CharacterDevice,
    };
    let number = |number: i64| u32::try_from(number).map_err(|error| Failure::at(&step, error));
    let numbers = makedev(number(device.major)?, number(device.minor)?);
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    match mknodat(parent.as_fd(), name, kind, mode, numbers) {
        // One that every container has.
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        other => other.step(&step)?,
    }
    let owner = device.uid.map(Uid::from_raw);
    let group = device.gid.map(Gid::from_raw);
    chownat(parent.as_fd(), name, owner, group, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).step(&step)
}
