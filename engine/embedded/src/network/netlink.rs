//! One netlink socket: whole messages out, answers in. Knows no message's content.

use netlink_packet_core::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};
use netlink_sys::{Socket, SocketAddr};
use std::io;

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// An answer: the kernel's message without its header.
pub(crate) struct Answer {
    pub body: Vec<u8>,
}

/// The kernel's verdict on the message with this sequence number.
pub(crate) struct Acknowledgment {
    pub sequence: u32,
    pub error: Option<io::Error>,
}

/// A socket in the network namespace of the thread that opened it.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens one, for a `NETLINK_…` protocol.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 1 })
    }

    /// From now on the kernel tells of a list only what is asked for, where it is not older than 4.20; else, all
    /// of it.
    pub fn filter_dumps(&self) {
        let _ = self.socket.set_netlink_get_strict_chk(true);
    }

    /// The next free sequence number; `count` of them are used.
    pub fn sequences(&mut self, count: u32) -> u32 {
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// Sends one message, and gathers answers until the kernel says that it is done.
    pub fn ask(&mut self, message: &[u8]) -> io::Result<Vec<Answer>> {
        self.send(message)?;
        let mut answers = Vec::new();
        let mut interrupted = false;
        loop {
            for part in self.receive()? {
                interrupted |= part.flags & NLM_F_DUMP_INTR != 0;
                match part.kind {
                    NLMSG_DONE if interrupted => return Err(io::ErrorKind::Interrupted.into()),
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => return error_of(&part.body).map_or(Ok(answers), Err),
                    _ => answers.push(Answer { body: part.body }),
                }
            }
        }
    }

    /// Sends many messages at once, and gathers verdicts up to the one on `last`. The kernel
    /// answers a batch before the call that sends it returns.
    pub fn submit(
        &mut self,
        messages: &[u8],
        first: u32,
        last: u32,
    ) -> io::Result<Vec<Acknowledgment>> {
        self.send(messages)?;
        let mut verdicts = Vec::new();
        loop {
            for part in self.receive()?.into_iter().filter(|part| part.kind == NLMSG_ERROR) {
                let verdict =
                    Acknowledgment { sequence: part.sequence, error: error_of(&part.body) };
                let whole = verdict.sequence == first && verdict.error.is_some();
                let over = verdict.sequence == last || whole;
                verdicts.push(verdict);
                if over {
                    return Ok(verdicts);
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0).map(drop)
    }

    fn receive(&self) -> io::Result<Vec<Part>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        Ok(parts(&bytes))
    }
}

/// One message of several.
pub(super) struct Part {
    kind: u16,
    flags: u16,
    sequence: u32,
    /// Without its header.
    pub(super) body: Vec<u8>,
}

/// The messages that came at once.
pub(super) fn parts(mut bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while bytes.len() >= HEADER {
        let length = u32_at(bytes, 0) as usize;
        if length < HEADER || length > bytes.len() {
            break;
        }
        parts.push(Part {
            kind: u16_at(bytes, 4),
            flags: u16_at(bytes, 6),
            sequence: u32_at(bytes, 8),
            body: bytes[HEADER..length].to_vec(),
        });
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    parts
}

fn error_of(body: &[u8]) -> Option<io::Error> {
    let code = if body.len() < 4 { 0 } else { u32_at(body, 0).cast_signed() };
    (code != 0).then(|| io::Error::from_raw_os_error(-code))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether the kernel says that there is no such thing.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::ESRCH))
}

/// Whether the kernel says that it is there already.
pub(crate) fn is_present(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EEXIST)
}
