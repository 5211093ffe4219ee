//! Configs and secrets: copied into memory, then mounted one by one.

use super::failure::{AtStep, Failure};
use super::mount_options::Options;
use super::mounting;
use super::oci::Mount;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, openat};
use rustix::mount::{UnmountFlags, unmount};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A detached read-only mount for each file. `place` is covered meanwhile.
pub fn files<'a>(
    place: &Path,
    files: impl Iterator<Item = (usize, &'a Mount)>,
) -> Result<BTreeMap<usize, OwnedFd>, Failure> {
    let files: Vec<_> = files.collect();
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let options = Options::sort(["nosuid", "noexec", "nodev", "mode=700"]);
    let memory = mounting::file_system("tmpfs", "tmpfs", &options).step("make memory for files")?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let target = openat(CWD, place, flags, Mode::empty()).step("open the staging folder")?;
    mounting::attach(memory.as_fd(), target.as_fd()).step("attach memory for files")?;
    let mut parts = BTreeMap::new();
    for (at, mount) in files {
        let part = stage(memory.as_fd(), &at.to_string(), mount);
        parts.insert(at, part.step(format_args!("copy `{}`", mount.destination.display()))?);
    }
    unmount(place, UnmountFlags::DETACH).step("let go of the staging folder")?;
    Ok(parts)
}

fn stage(memory: BorrowedFd<'_>, name: &str, mount: &Mount) -> io::Result<OwnedFd> {
    let wanted =
        |key: &str| mount.words().find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
    let number = |key: &str| wanted(key).and_then(|value| value.parse().ok()).unwrap_or(0);
    let mode = wanted("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o444);
    let source = mount.source.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
    let mut source = File::open(source)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(openat(memory, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(&mut source, &mut file)?;
    fchown(&file, Some(Uid::from_raw(number("uid"))), Some(Gid::from_raw(number("gid"))))?;
    fchmod(&file, Mode::from_raw_mode(mode))?;
    let part = mounting::clone_at(memory, Path::new(name), false)?;
    mounting::make_read_only(part.as_fd(), false)?;
    Ok(part)
}
