//! Reading and writing a cgroup's files.

use crate::runtime::unanswered;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::path::Path;

/// Writes a value; the error names file and value, since the kernel's alone says little.
pub fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = folder.join(file);
    let mut options = fs::OpenOptions::new();
    let written = options
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|error| {
        io::Error::new(error.kind(), format!("write `{value}` to {}: {error}", path.display()))
    })
}

/// The same, where an absent file means that the kernel does not count this.
pub fn write_if_there(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    match write(folder, file, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A file's text, trimmed.
pub fn read(folder: &Path, file: &str) -> io::Result<String> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).map_err(|error| {
        io::Error::new(error.kind(), format!("read {}: {error}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

/// A file's number.
pub fn number(folder: &Path, file: &str) -> io::Result<u64> {
    parse(&read(folder, file)?)
}

/// A text's number.
pub fn parse(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| io::Error::other(format!("`{text}` is not a number")))
}

/// A file's number, or `max`.
pub fn limit(folder: &Path, file: &str) -> io::Result<Option<u64>> {
    match read(folder, file)?.as_str() {
        "max" => Ok(None),
        number => parse(number).map(Some),
    }
}

/// The number behind `key` in a file of `KEY NUMBER` lines; 0 where it is not counted.
pub fn keyed(folder: &Path, file: &str, key: &str) -> io::Result<u64> {
    let text = read(folder, file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.map_or(Ok(0), parse)
}

/// The pids in `cgroup.procs`.
pub fn processes(folder: &Path) -> io::Result<Vec<u32>> {
    match fs::read_to_string(folder.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The pids in `cgroup.procs` of a folder and of all below it.
pub fn processes_below(folder: &Path) -> io::Result<Vec<u32>> {
    let mut pids = processes(folder)?;
    for name in children(folder)? {
        pids.extend(processes_below(&folder.join(name))?);
    }
    Ok(pids)
}

/// Names of the folders inside; none where it does not exist.
pub fn children(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
    Ok(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Removes a folder and its subfolders, deepest first; its files are the kernel's.
pub fn remove(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Rounds of killing before giving up: each waits for what it killed.
const ROUNDS: usize = 20;

/// Kills what `list` names, and waits for it, until it names nothing.
pub fn kill_each(list: impl Fn() -> io::Result<Vec<u32>>) -> io::Result<()> {
    for _ in 0..ROUNDS {
        let pids = list()?;
        if pids.is_empty() {
            return Ok(());
        }
        let killed = pids.iter().filter_map(|pid| {
            let pidfd = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
            // The pid may have changed hands between list and open.
            if !list().is_ok_and(|pids| pids.contains(pid)) {
                return None;
            }
            pidfd_send_signal(&pidfd, Signal::KILL).ok().map(|()| pidfd)
        });
        for pidfd in killed.collect::<Vec<_>>() {
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&second));
        }
        unanswered::give_up(&list()?);
    }
    Err(io::Error::other("processes in the cgroup outlive SIGKILL"))
}
