//! `keel confirm`: let a revision through that would remove much.

use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;

/// The arguments of `keel confirm`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel confirm home\n\n`keel status` says which source waits, and for what."
)]
pub struct Args {
    /// The source
    #[arg(default_value = "default", value_name = "SOURCE")]
    source: String,
}

/// Runs `keel confirm`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel confirm").await?;
    connection.client.confirm(&args.source).await?;
    context.screen.say(&format!("{} continues with its newest revision", args.source));
    Ok(Exit::Done)
}
