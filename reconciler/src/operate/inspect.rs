//! `inspect`: everything about one thing, in docker's shape.

use crate::ask::Refusal;
use crate::controller::Controller;
use crate::rows::InspectKind;

impl Controller {
    /// Everything about a container, image, network or volume; docker's field names, beside
    /// `version`.
    pub async fn inspect(
        &self,
        target: &str,
        kind: Option<InspectKind>,
    ) -> Result<serde_json::Value, Refusal> {
        todo!()
    }
}
