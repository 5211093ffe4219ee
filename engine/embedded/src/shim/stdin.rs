//! Input on its way into a container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// While so much waits, no more is taken in.
const MUCH: usize = 64 << 10;
/// What ends input on a terminal.
const END_OF_TRANSMISSION: u8 = 4;

/// Input that waits, and where it goes.
#[derive(Debug, Default)]
pub struct Input {
    waiting: Vec<u8>,
    ended: bool,
    into: Option<OwnedFd>,
    terminal: bool,
}

impl Input {
    /// A run takes input here. What came before the run goes first.
    pub fn connect(&mut self, into: Option<OwnedFd>, terminal: bool) {
        (self.into, self.terminal) = (into, terminal);
        if self.into.is_none() {
            self.waiting.clear();
            self.ended = true;
        }
        self.flush();
    }

    /// The run is over. What it did not read is nobody's.
    pub fn disconnect(&mut self) {
        *self = Self::default();
    }

    /// Takes input.
    pub fn give(&mut self, data: &[u8]) {
        if !self.ended {
            self.waiting.extend_from_slice(data);
            self.flush();
        }
    }

    /// No more will come.
    pub fn end(&mut self) {
        if !self.ended && self.terminal {
            self.waiting.push(END_OF_TRANSMISSION);
        }
        self.ended = true;
        self.flush();
    }

    /// Whether no more should be taken in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MUCH
    }

    /// Where it would be written, if any of it waits.
    #[must_use]
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.into.as_ref().filter(|_| !self.waiting.is_empty()).map(AsFd::as_fd)
    }

    /// Writes what can be written.
    pub fn flush(&mut self) {
        let Some(into) = &self.into else { return };
        while !self.waiting.is_empty() {
            match rustix::io::write(into, &self.waiting) {
                Ok(length) => {
                    self.waiting.drain(..length);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                // Nobody reads any more.
                Err(_) => self.waiting.clear(),
            }
        }
        if self.ended && !self.terminal {
            self.into = None;
        }
    }
}
