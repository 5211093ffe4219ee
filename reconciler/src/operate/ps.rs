//! `ps`: containers, as docker lists them.

use crate::ask::{ContainerRow, Refusal};
use crate::controller::Controller;
use crate::rows::PsAsk;

impl Controller {
    /// Tasks of all nodes, newest first.
    pub async fn ps(&self, ask: PsAsk) -> Result<Vec<ContainerRow>, Refusal> {
        todo!()
    }
}
