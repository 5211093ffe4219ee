//! The person's terminal: raw while a container has it, and its size.
//!
//! # Invariants
//! - However the conversation ends, the terminal is as it was: [`Raw`] restores it when dropped.

use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, IsTerminal};

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

/// Rows and columns of standard output, if it is a terminal.
pub fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
