//! `plan`: what a pass would do now, for people to read.

use crate::ask::{PlanReport, PlanTarget, Refusal};
use crate::controller::Controller;

impl Controller {
    /// Plans without doing. No targets: every stack that is known.
    pub async fn plan(&self, targets: Vec<PlanTarget>) -> Result<PlanReport, Refusal> {
        todo!()
    }
}
