//! The network of one-offs that name none: made for the first of them, and gone with the last.

use crate::failure::Result;
use keel_api::{Client, ClientError};
use keel_engine::{Attachment, NetworkMode, NetworkSpec, TaskSpec};
use keel_reconciler::ask::RefusalKind;
use keel_reconciler::rows::{NetworkAsk, RemoveAsk};

/// docker's name for it.
const NAME: &str = "bridge";

/// Joins it, unless the task has a network already.
pub async fn join(client: &Client, task: &mut TaskSpec) -> Result<()> {
    if task.network_mode != NetworkMode::Networks || !task.networks.is_empty() {
        return Ok(());
    }
    task.networks.push(Attachment { network: NAME.to_owned(), ..Attachment::default() });
    if !exists(client).await? {
        let (name, driver) = (NAME.to_owned(), "bridge".to_owned());
        let spec = NetworkSpec { name, driver, ..NetworkSpec::default() };
        client.create_network(&NetworkAsk { spec }).await?;
    }
    Ok(())
}

/// Takes it away if nobody is in it any more.
pub async fn leave(client: &Client) -> Result<()> {
    if !exists(client).await? {
        return Ok(());
    }
    let ask = RemoveAsk { names: vec![NAME.to_owned()], force: true };
    match client.remove_networks(&ask).await {
        Ok(_) => Ok(()),
        // Somebody is in it still, or again.
        Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::Conflict => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn exists(client: &Client) -> Result<bool> {
    Ok(client.networks().await?.iter().any(|row| row.name == NAME))
}
