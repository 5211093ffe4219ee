//! `images`, `pull`, `rmi`.

use crate::ask::{Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::rows::{ImageRow, PullAsk, RemoveAsk};

impl Controller {
    /// Every image of every node, by reference.
    pub async fn images(&self) -> Result<Vec<ImageRow>, Refusal> {
        todo!()
    }

    /// Brings images anew; ends when all are there or failed.
    pub fn pull(&self, ask: PullAsk) -> Lines<Progress> {
        todo!()
    }

    /// Removes images, by reference, id or digest; gives what is gone. Refused for one in use.
    pub async fn remove_images(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        todo!()
    }
}
