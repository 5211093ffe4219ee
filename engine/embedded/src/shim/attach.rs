//! People who are attached: each gets a copy of the output, and may give input.
//!
//! # Invariants
//! - Nobody who reads slowly holds the container up: whoever has a megabyte waiting is dropped.
//! - Nor does whoever does not leave: all goodbyes together take a second at the most.
//! - Input that nobody takes yet waits; while much of it waits, clients are not read.

use keel_engine::frames::{self, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Output that may wait for one client.
const BEHIND: usize = 1 << 20;
/// So many are let in; others wait at the door, where they cost no descriptor.
const CLIENTS: usize = 64;
/// How long the last frames may take, all together, when a run is over.
const FAREWELL: Duration = Duration::from_secs(1);

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
        let until = Instant::now() + FAREWELL;
        loop {
            leaving.iter_mut().for_each(Client::send);
            leaving.retain(|client| !client.gone && !client.unsent.is_empty());
            let left = until.saturating_duration_since(Instant::now());
            if leaving.is_empty() || left.is_zero() {
                return;
            }
            let takes = |client| PollFd::new(client, PollFlags::OUT);
            let mut sockets: Vec<_> = leaving.iter().map(|one| takes(&one.socket)).collect();
            let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            let _ = poll(&mut sockets, Some(&left));
        }
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

    /// Sends what the socket takes; whoever is too far behind then is dropped.
    fn flush(&mut self) {
        self.send();
        self.gone |= self.unsent.len() > BEHIND;
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
