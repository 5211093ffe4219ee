//! `keel rmi`: remove images.

use crate::cmd::gone;
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_reconciler::rows::RemoveAsk;

/// The arguments of `keel rmi`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel rmi nginx:1.25")]
pub struct Args {
    /// Do not fail if it does not exist
    #[arg(short, long)]
    force: bool,
    /// Images, by reference, id or digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Runs `keel rmi`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel rmi").await?;
    let client = &connection.client;
    let remove = async |ask: &RemoveAsk| client.remove_images(ask).await;
    let gone = gone::remove(&args.images, args.force, context, remove).await;
    connection.close().await;
    gone?.iter().try_for_each(|name| context.screen.data(&format!("Removed: {name}")))?;
    Ok(Exit::Done)
}
