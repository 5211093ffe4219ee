//! `status`, `history` and the sources' state.

use crate::ask::{Refusal, SourceRow, StatusRow};
use crate::controller::Controller;
use crate::rows::HistoryRow;
use keel_engine::StackName;

impl Controller {
    /// Sync, health and operation of these stacks, or of all, by name.
    pub async fn status(&self, stacks: &[StackName]) -> Result<Vec<StatusRow>, Refusal> {
        todo!()
    }

    /// The state of the sources; empty without `serve`.
    pub async fn sources(&self) -> Vec<SourceRow> {
        todo!()
    }

    /// What happened to these stacks, or to all; oldest first.
    pub async fn history(&self, stacks: &[StackName]) -> Result<Vec<HistoryRow>, Refusal> {
        todo!()
    }
}
