//! What every command is given: the global options, and the screen.

use crate::args::{Files, Global};
use crate::show::Screen;

/// What every command is given.
pub struct Context {
    /// Options that every command takes.
    pub global: Global,
    /// What was asked for before the command.
    pub files: Files,
    /// Where it speaks.
    pub screen: Screen,
}

impl Context {
    /// For these options.
    pub fn new(global: Global, files: Files) -> Self {
        let screen = Screen::new(global.quiet);
        Self { global, files, screen }
    }
}
