//! `keel image prune`.

use crate::cmd::system::{agreed, told};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_reconciler::rows::PruneAsk;

/// The subcommands of `keel image`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Remove images that no container and no revision needs
    #[command(after_help = "Example:\n  keel image prune -f")]
    Prune(Prune),
}

/// `image prune`.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Include images that were pulled by hand
    #[arg(short, long)]
    all: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    force: bool,
}

/// Runs `keel image`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    let Command::Prune(args) = command;
    let which = if args.all { "" } else { " that stacks have needed" };
    let what = format!("all images{which} and that no container or revision needs now");
    if !args.force && !agreed(context, &[&what])? {
        return Ok(Exit::Failed);
    }
    let connection = connect(context, Need::Drive, "keel image prune").await?;
    let ask = PruneAsk { all: args.all, images_only: true, ..PruneAsk::default() };
    let pruned = connection.client.prune(&ask).await?;
    connection.close().await;
    told(context, &pruned)
}
