//! `keel source ls | webhook | create`.

mod create;
mod ls;
mod webhook;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;

/// The subcommands of `keel source`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List sources and their state
    #[command(visible_alias = "list", after_help = "Example:\n  keel source ls")]
    Ls(ls::Args),
    /// Show how to set up a webhook for a source
    #[command(after_help = "Example:\n  keel source webhook home")]
    Webhook(webhook::Args),
    /// Create a repository on this host to push to
    #[command(
        after_help = "Example:\n  keel source create home --bare\n  git push ssh://root@HOST/var/lib/keel/repos/home.git main"
    )]
    Create(create::Args),
}

/// Runs `keel source`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Ls(args) => ls::run(args, context).await,
        Command::Webhook(args) => webhook::run(args, context),
        Command::Create(args) => create::run(args, context).await,
    }
}
