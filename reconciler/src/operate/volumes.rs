//! `volume ls`, `create`, `rm`.

use crate::ask::Refusal;
use crate::controller::Controller;
use crate::rows::{RemoveAsk, VolumeAsk, VolumeRow};

impl Controller {
    /// Every volume of every node, by name.
    pub async fn volumes(&self) -> Result<Vec<VolumeRow>, Refusal> {
        todo!()
    }

    /// Makes a volume that belongs to no stack; gives its name when it is there.
    pub async fn create_volume(&self, ask: VolumeAsk) -> Result<String, Refusal> {
        todo!()
    }

    /// Removes volumes with their data; gives the names of those that are gone. Refused for one
    /// in use.
    pub async fn remove_volumes(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        todo!()
    }
}
