//! `network ls`, `create`, `rm`.

use crate::ask::Refusal;
use crate::controller::Controller;
use crate::rows::{NetworkAsk, NetworkRow, RemoveAsk};

impl Controller {
    /// Every network of every node, by name.
    pub async fn networks(&self) -> Result<Vec<NetworkRow>, Refusal> {
        todo!()
    }

    /// Makes a network that belongs to no stack; gives its id when it is there.
    pub async fn create_network(&self, ask: NetworkAsk) -> Result<String, Refusal> {
        todo!()
    }

    /// Removes networks; gives the names of those that are gone. Refused for one in use.
    pub async fn remove_networks(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        todo!()
    }
}
