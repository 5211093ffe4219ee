//! What a process reads and writes.

use super::failure::{AtStep, Failure};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Where a container's first process reads and writes.
#[derive(Debug)]
pub enum Stdio {
    /// A terminal of its own, of so many rows and columns, whose master comes back.
    Terminal(Option<(u16, u16)>),
    /// These.
    Pipes {
        /// Standard input.
        input: OwnedFd,
        /// Standard output.
        output: OwnedFd,
        /// Standard error.
        error: OwnedFd,
    },
}

/// Standard input, output and error.
pub fn use_stdio(
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    error: BorrowedFd<'_>,
) -> Result<(), Failure> {
    dup2_stdin(input).step("set standard input")?;
    dup2_stdout(output).step("set standard output")?;
    dup2_stderr(error).step("set standard error")
}
