//! What every command is given: the global options, and the screen.

use crate::args::Global;
use crate::show::Screen;

/// What every command is given.
pub struct Context {
    /// Options that every command takes.
    pub global: Global,
    /// Where it speaks.
    pub screen: Screen,
}

impl Context {
    /// For these options.
    pub fn new(global: Global) -> Self {
        let screen = Screen::new(global.quiet);
        Self { global, screen }
    }
}
