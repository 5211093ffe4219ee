//! `keel rm`.

use crate::cmd::act::act;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_reconciler::ask::TaskVerb;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel rm -f -v old-experiment")]
pub struct Args {
    /// Also what runs: it is killed
    #[arg(short, long)]
    force: bool,
    /// Also what runs: it is stopped first
    #[arg(short, long)]
    stop: bool,
    /// Its anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
    /// Stacks, containers by name or id, or STACK/SERVICE[.SLOT]
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    if args.stop {
        act(context, "keel rm", &args.targets, TaskVerb::Stop, None).await?;
    }
    let verb = TaskVerb::Remove { force: args.force, volumes: args.volumes };
    act(context, "keel rm", &args.targets, verb, None).await
}
