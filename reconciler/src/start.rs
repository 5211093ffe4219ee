//! The start of a controller, with its loops.

use crate::ask::Refusal;
use crate::controller::Controller;
use crate::loops;
use crate::settings::Settings;

impl Controller {
    /// Starts the loops (with `serve`: sources, passes of all stored stacks, drift). Needs a
    /// tokio runtime; returns at once, without Git or a registry.
    pub async fn start(settings: Settings) -> Result<Self, Refusal> {
        let controller = Self::new(settings);
        if controller.serves() {
            controller.keep_running(loops::start(&controller).await?);
        }
        Ok(controller)
    }
}
