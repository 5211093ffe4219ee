//! Which processes belong to a node of the lab: those that name its root, or something below it, and whose
//! network is not the caller's. A person who looks at a file of the root is none of them.

use crate::root::record::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Rounds of ending before giving up: each waits for what it ended.
const ROUNDS: usize = 20;

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhabitant {
    /// Which.
    pub process: Process,
    /// What it was started with.
    pub arguments: Vec<String>,
}

/// Every process of the node with this root.
pub fn inhabitants(root: &Path) -> io::Result<Vec<Inhabitant>> {
    let own = fs::read_link("/proc/thread-self/ns/net")?;
    let pids = fs::read_dir("/proc")?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let found = pids.filter_map(|pid| {
        let process = Process::find(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let away = fs::read_link(format!("/proc/{pid}/ns/net")).ok()? != own;
        let arguments = arguments(&line);
        (away && concerns(&line, root)).then_some(Inhabitant { process, arguments })
    });
    Ok(found.collect())
}

fn concerns(line: &[u8], root: &Path) -> bool {
    let words = line.split(|byte| *byte == 0);
    let paths = words.map(|word| word.strip_prefix(b"--root=").unwrap_or(word));
    paths.map(|path| Path::new(OsStr::from_bytes(path))).any(|path| path.starts_with(root))
}

fn arguments(line: &[u8]) -> Vec<String> {
    let words = line.split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Ends every process of a node with SIGKILL, and waits for their ends.
pub fn end_all(root: &Path) -> io::Result<()> {
    for _ in 0..ROUNDS {
        let found = inhabitants(root)?;
        if found.is_empty() {
            return Ok(());
        }
        let ended = found.iter().filter_map(|one| {
            let pid = Pid::from_raw(one.process.pid.cast_signed())?;
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            // The pid may have changed hands meanwhile.
            one.process.lives().then_some(())?;
            pidfd_send_signal(&pidfd, Signal::KILL).ok().map(|()| pidfd)
        });
        for pidfd in ended.collect::<Vec<_>>() {
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&second));
        }
    }
    Err(io::Error::other(format!("processes of {} outlive SIGKILL", root.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_concerns_a_root_that_it_names_and_no_neighbour() {
        let root = Path::new("/lab/node1");
        let cases: [(&[u8], bool); 6] = [
            (b"keel\0--root\0/lab/node1\0serve\0", true),
            (b"keel\0--root=/lab/node1\0serve\0", true),
            (b"keel\0shim\0/lab/node1/tasks/7\0", true),
            (b"keel\0--root\0/lab/node12\0serve\0", false),
            (b"nsenter\0--net=/lab/ns/node1\0", false),
            (b"", false),
        ];
        for (line, expected) in cases {
            assert_eq!(concerns(line, root), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn who_names_a_root_in_the_callers_own_network_is_not_of_the_node() {
        let folder = tempfile::tempdir().unwrap();
        let script = "read line";
        let mut child = std::process::Command::new("sh")
            .args(["-c", script])
            .arg(folder.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert_eq!(inhabitants(folder.path()).unwrap(), []);
        end_all(folder.path()).unwrap();
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(1), "it ended by itself");
    }
}
