//! People who are attached: each gets a copy of the output, and may give input.
//!
//! # Invariants
//! - Nobody misses anything: while a megabyte waits for somebody, the container's output is not
//!   read, and its pipe slows it down.
//! - What still waits for somebody when a run is over is delivered by a process of its own: neither
//!   the next run nor the shim's end waits for whoever reads slowly.
//! - Input that nobody takes yet waits; while much of it waits, clients are not read.

use crate::sys;
use keel_engine::frames::{self, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Output that may wait for one client before no more is read.
const BEHIND: usize = 1 << 20;
/// So many are let in; others wait at the door, where they cost no descriptor.
const CLIENTS: usize = 64;
/// How long somebody may take nothing of what is left for them when a run is over: they may be
/// reading it, page by page.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// The same where no process for that can be made.
const HASTE: Duration = Duration::from_secs(1);

/// The socket and whoever is connected.
#[derive(Debug)]
pub struct Attached {
    path: PathBuf,
    listener: UnixListener,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    socket: UnixStream,
    read: Vec<u8>,
    unsent: Vec<u8>,
    gone: bool,
}

impl Attached {
    /// Listens.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let _ = fs::remove_file(path);
        let listener = listen_at(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { path: path.to_owned(), listener, clients: Vec::new() })
    }

    /// The socket that new clients come to, while there is room for them.
    #[must_use]
    pub fn door(&self) -> Option<BorrowedFd<'_>> {
        (self.clients.len() < CLIENTS).then(|| self.listener.as_fd())
    }

    /// Sockets of clients, and whether output waits for them.
    pub fn sockets(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        self.clients.iter().map(|client| (client.socket.as_fd(), !client.unsent.is_empty()))
    }

    /// Lets in whoever is at the door.
    pub fn accept(&mut self) {
        while self.clients.len() < CLIENTS
            && let Ok((socket, _)) = self.listener.accept()
        {
            if socket.set_nonblocking(true).is_ok() {
                let (read, unsent) = (Vec::new(), Vec::new());
                self.clients.push(Client { socket, read, unsent, gone: false });
            }
        }
    }

    /// Frames that the client at this place sent.
    pub fn read(&mut self, place: usize) -> Vec<Frame> {
        self.clients.get_mut(place).map_or_else(Vec::new, Client::read)
    }

    /// Sends on what waits for the client at this place.
    pub fn write(&mut self, place: usize) {
        if let Some(client) = self.clients.get_mut(place) {
            client.flush();
        }
    }

    /// Whether so much waits for somebody that no more is to be read.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.clients.iter().any(|client| !client.gone && client.unsent.len() > BEHIND)
    }

    /// Gives everybody a copy.
    pub fn tell(&mut self, frame: impl FnOnce() -> Frame) {
        if self.clients.is_empty() {
            return;
        }
        let bytes = frame().encode();
        for client in &mut self.clients {
            client.unsent.extend_from_slice(&bytes);
            client.flush();
        }
    }

    /// Forgets who is gone. Places change.
    pub fn sweep(&mut self) {
        self.clients.retain(|client| !client.gone);
    }

    /// Tells everybody how the run ended, and lets them go.
    pub fn dismiss(&mut self, code: i32) {
        let last = Frame::Exit(code).encode();
        let mut leaving = std::mem::take(&mut self.clients);
        leaving.iter_mut().for_each(|client| client.unsent.extend_from_slice(&last));
        leaving.iter_mut().for_each(Client::send);
        leaving.retain(Client::waits);
        if leaving.is_empty() {
            return;
        }
        match sys::clone3(sys::Clone3::default()) {
            Ok(sys::Cloned::Parent(_)) => {}
            Ok(sys::Cloned::Child) => {
                let sockets: Vec<_> = leaving.iter().map(|client| client.socket.as_fd()).collect();
                let _ = sys::default_signals().and_then(|()| sys::close_all_but(&sockets));
                deliver(leaving, PATIENCE);
                sys::exit_now(0)
            }
            Err(_) => deliver(leaving, HASTE),
        }
    }
}

/// Sends what waits, until all have it or take nothing for so long.
fn deliver(mut leaving: Vec<Client>, patience: Duration) {
    while !leaving.is_empty() {
        let takes = |client| PollFd::new(client, PollFlags::OUT);
        let mut sockets: Vec<_> = leaving.iter().map(|one| takes(&one.socket)).collect();
        let left = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: 0 };
        if matches!(poll(&mut sockets, Some(&left)), Ok(0)) {
            return;
        }
        leaving.iter_mut().for_each(Client::send);
        leaving.retain(Client::waits);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Socket addresses are short, so a long path is bound through its folder's descriptor.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let (folder, name) = (path.parent(), path.file_name());
    let (folder, name) = folder.zip(name).ok_or(io::ErrorKind::InvalidInput)?;
    let folder = fs::File::open(folder)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
    UnixListener::bind(Path::new(&format!("/proc/self/fd/{number}")).join(name))
}

impl Client {
    fn read(&mut self) -> Vec<Frame> {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => self.gone = true,
                Ok(length) => {
                    self.read.extend_from_slice(&chunk[..length]);
                    if self.read.len() < BEHIND {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => self.gone = true,
            }
            return self.frames();
        }
    }

    fn frames(&mut self) -> Vec<Frame> {
        let mut found = Vec::new();
        loop {
            match frames::decode(&self.read) {
                Ok(Some((frame, length))) => {
                    self.read.drain(..length);
                    found.push(frame);
                }
                Ok(None) => return found,
                Err(_) => {
                    self.gone = true;
                    return found;
                }
            }
        }
    }

    /// Whether there is something left for it.
    fn waits(&self) -> bool {
        !self.gone && !self.unsent.is_empty()
    }

    /// Sends what the socket takes.
    fn flush(&mut self) {
        self.send();
        if self.unsent.is_empty() {
            self.unsent.shrink_to(4096);
        }
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() && !self.gone {
            match self.socket.write(&self.unsent) {
                Ok(length) => {
                    self.unsent.drain(..length);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
    }
}
