//! What a person means by a target: a container's name, an id's prefix, `STACK/SERVICE[.SLOT]`.

use crate::ask::Refusal;
use crate::controller::Controller;
use keel_engine::ObservedTask;

impl Controller {
    /// The tasks that a target means: at least one, newest first within a slot. Stopped ones too.
    pub async fn resolve_target(&self, target: &str) -> Result<Vec<ObservedTask>, Refusal> {
        todo!()
    }
}
