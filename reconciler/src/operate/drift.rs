//! `drift`: what differs from what was applied, where, and since when.

use crate::ask::{DriftReport, Refusal};
use crate::controller::Controller;
use keel_engine::StackName;

impl Controller {
    /// Looks closely, now. Without a stack: everything, the nodes' own things included.
    pub async fn drift(&self, stack: Option<&StackName>) -> Result<DriftReport, Refusal> {
        todo!()
    }
}
