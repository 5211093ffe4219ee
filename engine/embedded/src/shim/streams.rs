//! A container's input and output, as its shim holds them.
//!
//! Output goes through named pipes in the task's folder. The container's side has them open for
//! reading too, so that a shim's death neither ends nor breaks them: the writer waits when the
//! pipe is full, and a new shim opens it again. Standard input is a plain pipe, and a terminal's
//! master is held by the shim alone: both are lost with it.

use super::output::{Lines, Log, Stream};
use crate::root::layout::TaskDir;
use crate::runtime::failure::{AtStep, Failure};
use crate::runtime::stdio::Stdio;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, openat};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// Bytes that are read at once.
pub const CHUNK: usize = 16 << 10;

/// One stream of output.
#[derive(Debug)]
pub struct Source {
    /// Where it is read; does not block.
    pub fd: OwnedFd,
    /// Its unfinished line.
    pub lines: Lines,
}

/// What a read gave.
pub enum Got {
    /// So many bytes.
    Data(usize),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Source {
    /// Reads what is there.
    pub fn read(&self, buffer: &mut [u8]) -> Got {
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut *buffer)) {
            Ok(0) => Got::End,
            Ok(length) => Got::Data(length),
            Err(rustix::io::Errno::AGAIN) => Got::Nothing,
            // A terminal whose last user is gone.
            Err(_) => Got::End,
        }
    }

    /// Logs what was read.
    pub fn log(&mut self, data: &[u8], log: &mut Log) {
        let _ = self.lines.take(data, log);
    }
}

/// Both sides of a run's streams.
pub struct Streams {
    /// The container's.
    pub stdio: Stdio,
    /// Output, on our side.
    pub sources: Vec<Source>,
    /// Input, on our side.
    pub input: Option<OwnedFd>,
}

/// With a terminal there is nothing to open: it comes back from the container.
pub fn with_terminal(size: Option<(u16, u16)>) -> Streams {
    Streams { stdio: Stdio::Terminal(size), sources: Vec::new(), input: None }
}

/// Opens a run's streams.
pub fn open(dir: &TaskDir, stdin_open: bool) -> Result<Streams, Failure> {
    let mut sides = Vec::new();
    let mut sources = Vec::new();
    for stream in [Stream::Stdout, Stream::Stderr] {
        let path = fifo(dir, stream);
        match mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Failure::at("make a pipe for output", error)),
        }
        sources.push(source(dir, stream).step("open a pipe for output")?);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        sides.push(openat(CWD, &path, flags, Mode::empty()).step("open a pipe for output")?);
    }
    let (input, ours) = input(stdin_open).step("open standard input")?;
    let (error, output) = (sides.pop(), sides.pop());
    let (output, error) = output.zip(error).expect("two were pushed");
    Ok(Streams { stdio: Stdio::Pipes { input, output, error }, sources, input: ours })
}

/// Our side of a stream that a container holds already.
pub fn source(dir: &TaskDir, stream: Stream) -> io::Result<Source> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = openat(CWD, fifo(dir, stream), flags, Mode::empty())?;
    Ok(Source { fd, lines: Lines::new(stream) })
}

/// A terminal's master as the one source.
pub fn terminal(master: OwnedFd) -> io::Result<(Source, OwnedFd)> {
    rustix::io::ioctl_fionbio(&master, true)?;
    let input = master.try_clone()?;
    Ok((Source { fd: master, lines: Lines::new(Stream::Stdout) }, input))
}

fn input(open: bool) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    if !open {
        return Ok((null()?, None));
    }
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(ours.as_fd(), true)?;
    Ok((theirs, Some(ours)))
}

/// /dev/null.
pub fn null() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

fn fifo(dir: &TaskDir, stream: Stream) -> PathBuf {
    dir.0.join(match stream {
        Stream::Stdout => "out",
        Stream::Stderr => "err",
    })
}

/// Removes the named pipes.
pub fn remove(dir: &TaskDir) {
    for stream in [Stream::Stdout, Stream::Stderr] {
        let _ = fs::remove_file(fifo(dir, stream));
    }
}
