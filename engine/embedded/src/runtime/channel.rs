//! How a process that becomes a container speaks to the one that asked for it.
//!
//! # Invariants
//! - One packet, one message. The end of the stream without a failure means that the program was
//!   executed: the descriptor is closed by exec.

use super::failure::Failure;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is told.
#[derive(Debug)]
pub enum Message {
    /// The pid of the process that becomes the container, as the host sees it.
    Born(u32),
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// Something of the specification that this kernel did not grant.
    Warning(String),
    /// It did not become one.
    Failed(Failure),
}

/// Longer texts are cut.
const TEXT: usize = 2048;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Two ends.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (flags, kind) = (SocketFlags::CLOEXEC, SocketType::SEQPACKET);
        let (one, other) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Tells the pid.
    pub fn born(&self, pid: u32) -> io::Result<()> {
        self.send(b'B', &pid.to_ne_bytes(), None)
    }

    /// Hands over a terminal's master.
    pub fn terminal(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        self.send(b'T', &[], Some(master))
    }

    /// Tells what was not granted.
    pub fn warning(&self, text: &str) -> io::Result<()> {
        self.send(b'W', text.as_bytes(), None)
    }

    /// Tells why it ended here.
    pub fn failed(&self, failure: &Failure) -> io::Result<()> {
        let text = [&failure.code.to_ne_bytes(), failure.message.as_bytes()].concat();
        self.send(b'F', &text, None)
    }

    fn send(&self, kind: u8, payload: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let payload = &payload[..payload.len().min(TEXT)];
        let parts = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(payload)];
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message; `None` at the end.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut bytes = [0; TEXT + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = rustix::io::retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)
        });
        let length = match got {
            Ok(got) => got.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok(read(&bytes[..length], descriptor))
    }
}

impl From<OwnedFd> for Channel {
    /// One end that came over from the process that made it.
    fn from(end: OwnedFd) -> Self {
        Self(end)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn read(bytes: &[u8], descriptor: Option<OwnedFd>) -> Option<Message> {
    let (kind, payload) = bytes.split_first()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match kind {
        b'B' => Some(Message::Born(u32::from_ne_bytes(payload.try_into().ok()?))),
        b'T' => descriptor.map(Message::Terminal),
        b'W' => Some(Message::Warning(text(payload))),
        _ => {
            let (code, message) = payload.split_first_chunk::<4>()?;
            let code = i32::from_ne_bytes(*code);
            Some(Message::Failed(Failure { code, message: text(message) }))
        }
    }
}
