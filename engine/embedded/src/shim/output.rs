//! A task's log: CRI's format, rotated.
//!
//! One line is `TIME STREAM TAG TEXT`; tag `F` ends a line of the process, `P` does not (it was
//! too long, or the process ended without one).
//!
//! # Invariants
//! - Whatever was read at once is written at once; buffers are kept, so that steady output does
//!   not touch the heap.
//! - A log that cannot be written loses lines, never the container.

use super::stamp::stamp;
use crate::clock;
use keel_engine::frames::Frame;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes after which a log is rotated.
const LIMIT: u64 = 10 << 20;
/// Rotated logs that are kept.
const KEPT: u32 = 2;
/// A longer line is written in parts.
const LINE: usize = 16 << 10;

/// Which of the process's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, and all of a terminal's.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// What was read of it, for whoever is attached.
    pub fn frame(self, data: &[u8]) -> Frame {
        match self {
            Self::Stdout => Frame::Stdout(data.to_vec()),
            Self::Stderr => Frame::Stderr(data.to_vec()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    pending: Vec<u8>,
}

impl Log {
    /// Opens it, to go on at its end.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, LIMIT)
    }

    fn with_limit(path: &Path, limit: u64) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit, pending: Vec::new() })
    }

    fn entry(&mut self, stream: Stream, text: &[u8], whole: bool) {
        self.pending.extend_from_slice(&stamp(clock::since_epoch()));
        self.pending.push(b' ');
        self.pending.extend_from_slice(stream.name().as_bytes());
        self.pending.extend_from_slice(if whole { b" F " } else { b" P " });
        self.pending.extend_from_slice(text);
        self.pending.push(b'\n');
    }

    /// Writes what is pending.
    fn commit(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.size > 0 && self.size + self.pending.len() as u64 > self.limit {
            self.rotate()?;
        }
        let written = self.file.write_all(&self.pending);
        self.size += self.pending.len() as u64;
        self.pending.clear();
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        let name = |number: u32| match number {
            0 => self.path.clone(),
            number => PathBuf::from(format!("{}.{number}", self.path.display())),
        };
        for number in (0..KEPT).rev() {
            match fs::rename(name(number), name(number + 1)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        (self.file, self.size) = (append(&self.path)?, 0);
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The unfinished line of one stream.
#[derive(Debug)]
pub struct Lines {
    stream: Stream,
    rest: Vec<u8>,
}

impl Lines {
    /// None yet.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, rest: Vec::new() }
    }

    /// Which stream.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// Logs what was read.
    pub fn take(&mut self, mut data: &[u8], log: &mut Log) -> io::Result<()> {
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            self.append(&data[..end], log);
            log.entry(self.stream, &self.rest, true);
            self.rest.clear();
            data = &data[end + 1..];
        }
        self.append(data, log);
        log.commit()
    }

    /// Logs a last line that was not ended.
    pub fn finish(&mut self, log: &mut Log) -> io::Result<()> {
        if !self.rest.is_empty() {
            log.entry(self.stream, &self.rest, false);
            self.rest.clear();
        }
        log.commit()
    }

    fn append(&mut self, mut text: &[u8], log: &mut Log) {
        while self.rest.len() + text.len() > LINE {
            let (now, later) = text.split_at(LINE - self.rest.len());
            self.rest.extend_from_slice(now);
            log.entry(self.stream, &self.rest, false);
            self.rest.clear();
            text = later;
        }
        self.rest.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tags and texts.
    fn read(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| line[31..].to_owned()).collect()
    }

    #[test]
    fn lines_are_whole_or_marked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::open(&path).unwrap();
        let (mut out, mut err) = (Lines::new(Stream::Stdout), Lines::new(Stream::Stderr));
        out.take(b"one\ntw", &mut log).unwrap();
        err.take(b"bad\n", &mut log).unwrap();
        out.take(b"o\n\nlast", &mut log).unwrap();
        out.finish(&mut log).unwrap();
        assert_eq!(
            read(&path),
            ["stdout F one", "stderr F bad", "stdout F two", "stdout F ", "stdout P last"]
        );
        let long = vec![b'x'; LINE * 2 + 5];
        out.take(&[&long[..], b"\n"].concat(), &mut log).unwrap();
        let lengths: Vec<_> = read(&path)[5..].iter().map(|line| line.len() - 9).collect();
        assert_eq!(lengths, [LINE, LINE, 5]);
    }

    #[test]
    fn two_old_logs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::with_limit(&path, 50).unwrap();
        let mut lines = Lines::new(Stream::Stdout);
        for number in 0..5 {
            lines.take(format!("{number}\n").as_bytes(), &mut log).unwrap();
        }
        let old = |number: u32| read(&folder.path().join(format!("log.{number}")));
        assert_eq!(
            (read(&path), old(1), old(2)),
            (vec!["stdout F 4".into()], vec!["stdout F 3".into()], vec!["stdout F 2".into()])
        );
        assert!(!folder.path().join("log.3").exists());
    }
}
