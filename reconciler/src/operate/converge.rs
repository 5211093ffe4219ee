//! `up` and `apply`: store what is desired, then pass until only final holds remain.

use crate::ask::{ConvergeAsk, Progress};
use crate::controller::{Controller, Lines};

impl Controller {
    /// Converges one stack; `up` and `apply`. The last line is [`Progress::End`]. Dropping the
    /// stream stops the watching, and without `serve` the passes; wishes stay.
    pub fn converge(&self, ask: ConvergeAsk) -> Lines<Progress> {
        todo!()
    }
}
