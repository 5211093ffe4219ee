//! The person's terminal: raw while a container has it, and its size.
//!
//! # Invariants
//! - However the conversation ends, the terminal is as it was: [`Raw`] restores it when dropped.

use crate::failure::{Failure, Result};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// A terminal in raw mode, until dropped.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Standard input, if it is a terminal.
    pub fn of_stdin() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// A person's terminal can be handed over only where there is one: nothing else tells a program that
/// its input has ended.
pub fn demand(stdin: bool, tty: bool) -> Result<()> {
    match stdin && tty && !io::stdin().is_terminal() {
        true => Err(Failure::new("the input device is not a TTY")
            .hint("leave `-t` out, so that the input is handed over as it is")),
        false => Ok(()),
    }
}

/// Rows and columns of standard output, if it is a terminal.
pub fn size() -> Option<(u16, u16)> {
    size_of(io::stdout())
}

/// The same of standard error, where progress is drawn.
pub fn size_of_progress() -> Option<(u16, u16)> {
    size_of(io::stderr())
}

fn size_of(terminal: impl AsFd) -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(terminal).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
