//! Bytes from one thread to another, with a bound on how many wait.
//!
//! # Invariants
//! - The reader sees the end only if the writer said so: a writer that vanishes is an error, so
//!   that half a stream never passes for a whole one.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::{Buf, Bytes};

/// How many pieces may wait. With pieces of about 100 KiB a few hide all jitter.
const DEPTH: usize = 8;

enum Piece {
    Data(Bytes),
    Broken(io::Error),
    End,
}

/// The end that bytes are put into.
pub(crate) struct PipeWriter(SyncSender<Piece>);

/// The end that bytes come out of.
pub(crate) struct PipeReader {
    pieces: Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// A new pipe.
pub(crate) fn pipe() -> (PipeWriter, PipeReader) {
    let (sender, pieces) = sync_channel(DEPTH);
    (PipeWriter(sender), PipeReader { pieces, current: Bytes::new(), ended: false })
}

impl PipeWriter {
    /// Whether somebody still reads.
    pub(crate) fn send(&self, bytes: Bytes) -> bool {
        self.0.send(Piece::Data(bytes)).is_ok()
    }

    /// Tells the reader that this was all.
    pub(crate) fn finish(self) {
        // A reader that is gone does not need to know.
        let _ = self.0.send(Piece::End);
    }

    /// Tells the reader why there is no more.
    pub(crate) fn fail(self, error: io::Error) {
        let _ = self.0.send(Piece::Broken(error));
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.recv() {
                Ok(Piece::Data(bytes)) => self.current = bytes,
                Ok(Piece::End) => self.ended = true,
                // One kind for all that is the stream's fault, and not the reader's.
                Ok(Piece::Broken(error)) => return Err(broken(error)),
                Err(_) => return Err(broken("the transfer was given up")),
            }
        }
        let read = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_vanishes_is_no_end() {
        let (writer, mut reader) = pipe();
        assert!(writer.send(Bytes::from_static(b"ab")));
        drop(writer);
        let mut text = String::new();
        assert_eq!(
            reader.read_to_string(&mut text).unwrap_err().to_string(),
            "the transfer was given up"
        );

        let (writer, mut reader) = pipe();
        assert!(writer.send(Bytes::from_static(b"ab")));
        writer.finish();
        let mut text = String::new();
        assert_eq!(reader.read_to_string(&mut text).unwrap(), 2);
    }
}
