//! `run`: a task outside of every stack, never planned or pruned.

use crate::ask::{Refusal, RunAnswer, RunAsk};
use crate::controller::Controller;

impl Controller {
    /// Makes a one-off. It runs at once, or with [`RunAsk::attach`] stays ready until
    /// [`start_oneoff`](Self::start_oneoff). Returns when the wish is on disk.
    pub async fn run(&self, ask: RunAsk) -> Result<RunAnswer, Refusal> {
        todo!()
    }

    /// Starts a one-off that was made with [`RunAsk::attach`], once somebody is attached.
    pub async fn start_oneoff(&self, id: &keel_engine::TaskId) -> Result<(), Refusal> {
        todo!()
    }
}
