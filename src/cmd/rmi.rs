//! `keel rmi`: remove images.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_api::{Client, ClientError};
use keel_reconciler::ask::RefusalKind;
use keel_reconciler::rows::RemoveAsk;
use std::collections::BTreeSet;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel rmi nginx:1.25")]
pub struct Args {
    /// Do not fail for what is not there
    #[arg(short, long)]
    force: bool,
    /// Images, by reference, id or digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel rmi").await?;
    let removed = removed(&connection.client, &args, context).await;
    connection.close().await;
    let gone: BTreeSet<String> = removed?.into_iter().collect();
    gone.iter().try_for_each(|name| context.screen.data(&format!("Removed: {name}")))?;
    Ok(Exit::Done)
}

/// What is gone. With `--force` what is not there is no failure; it is said all the same, as it may be
/// a slip.
async fn removed(client: &Client, args: &Args, context: &Context) -> Result<Vec<String>> {
    if !args.force {
        let ask = RemoveAsk { names: args.images.clone(), force: false };
        return Ok(client.remove_images(&ask).await?);
    }
    let mut gone = Vec::new();
    for name in &args.images {
        let ask = RemoveAsk { names: vec![name.clone()], force: false };
        match client.remove_images(&ask).await {
            Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {
                context.screen.warn(&refusal.message);
            }
            removed => gone.extend(removed?),
        }
    }
    Ok(gone)
}
