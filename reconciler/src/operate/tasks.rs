//! `start`, `stop`, `restart`, `kill`, `rm`: a person's word about single tasks.

use crate::ask::{Refusal, TaskAsk};
use crate::controller::Controller;
use crate::rows::TaskDone;

impl Controller {
    /// Does it, and waits until it is done (stopped, started, gone). All targets are resolved
    /// before anything is done.
    pub async fn tasks(&self, ask: TaskAsk) -> Result<Vec<TaskDone>, Refusal> {
        todo!()
    }
}
