//! `keel resume`: end a suspension.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_engine::StackName;

/// The arguments of `keel resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel resume shop")]
pub struct Args {
    /// Which
    #[arg(required = true, value_name = "STACK", value_parser = crate::args::stack)]
    stacks: Vec<StackName>,
}

/// Runs `keel resume`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel resume").await?;
    for stack in &args.stacks {
        connection.client.resume(stack).await?;
        context.screen.say(&format!("{stack} is no longer suspended"));
    }
    connection.close().await;
    Ok(Exit::Done)
}
