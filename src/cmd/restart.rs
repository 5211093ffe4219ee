//! `keel restart`.

use crate::cmd::act::act;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_reconciler::ask::TaskVerb;

/// The arguments of `keel restart`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel restart shop/web")]
pub struct Args {
    /// Seconds between the signal and SIGKILL
    #[arg(short = 't', long = "timeout", visible_alias = "time", value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Stacks, containers by name or id, or STACK/SERVICE[.SLOT]
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs `keel restart`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    act(context, "keel restart", &args.targets, TaskVerb::Restart, args.timeout).await
}
