//! `keel sync`: read the sources anew, then converge.

use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root::person;
use crate::show::outcome;
use keel_reconciler::rows::SyncAsk;

/// The arguments of `keel sync`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel sync home\n  keel sync shop --retry\n  keel sync shop --revision \"$CI_COMMIT_SHA\" --pull --wait\n\nExit code 1 means that it failed or is held, 3 that it is not healthy in time."
)]
pub struct Args {
    /// Retry a revision that failed before
    #[arg(long)]
    retry: bool,
    /// Take over stacks from their current owners
    #[arg(long)]
    take_over: bool,
    /// Fail unless the source is at this commit or a later one
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    revision: Option<String>,
    /// Ask registries even for images that are present
    #[arg(long)]
    pull: bool,
    /// Also wait for images that their registries do not have yet, for as long as `image-wait` says
    #[arg(long, conflicts_with = "detach")]
    wait: bool,
    /// Do not wait for health
    #[arg(short, long)]
    detach: bool,
    /// Stacks or sources; everything unless given
    #[arg(value_name = "STACK|SOURCE")]
    targets: Vec<String>,
}

/// A commit, or the first digits of one.
fn commit(text: &str) -> std::result::Result<String, String> {
    let sound = (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if sound {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("it must be a commit's digits".to_owned())
    }
}

/// Runs `keel sync`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel sync").await?;
    let ask = SyncAsk {
        targets: args.targets,
        retry: args.retry,
        take_over: args.take_over,
        detach: args.detach,
        wait: args.wait,
        pull: args.pull,
        revision: args.revision,
        by: person(),
        pushed: false,
    };
    let ended = outcome::watch(&context.screen, connection.client.sync(&ask).await?).await?;
    Ok(ended.unwrap_or(Exit::Failed))
}
