//! `down`: a stack goes away.

use crate::ask::{DownAsk, Progress};
use crate::controller::{Controller, Lines};

impl Controller {
    /// Takes a stack away; ends when nothing is left of it. Under `serve` the stack is suspended
    /// as well, so that its source does not bring it back; without, it is forgotten.
    pub fn down(&self, ask: DownAsk) -> Lines<Progress> {
        todo!()
    }
}
