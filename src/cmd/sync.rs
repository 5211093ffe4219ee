//! `keel sync`: read the sources anew, then converge.

use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::outcome;
use keel_reconciler::rows::SyncAsk;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel sync home\n  keel sync shop --retry")]
pub struct Args {
    /// Try a revision again that failed before
    #[arg(long)]
    retry: bool,
    /// Take stacks from their present owners
    #[arg(long)]
    take_over: bool,
    /// Do not wait for health
    #[arg(short, long)]
    detach: bool,
    /// Stacks or sources; everything unless given
    #[arg(value_name = "STACK|SOURCE")]
    targets: Vec<String>,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel sync").await?;
    let ask = SyncAsk {
        targets: args.targets,
        retry: args.retry,
        take_over: args.take_over,
        detach: args.detach,
    };
    let ended = outcome::watch(&context.screen, connection.client.sync(&ask).await?).await?;
    Ok(ended.unwrap_or(Exit::Failed))
}
