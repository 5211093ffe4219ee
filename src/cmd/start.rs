//! `keel start`.

use crate::cmd::act::act;
use crate::connect::drive_until_idle;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_reconciler::ask::TaskVerb;

/// The arguments of `keel start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel start shop/web")]
pub struct Args {
    /// Start everything that ran before the machine went down, if no controller does
    #[arg(long, conflicts_with = "targets")]
    boot: bool,
    /// Stacks, containers by name or id, or STACK/SERVICE[.SLOT]
    #[arg(required_unless_present = "boot", value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs `keel start`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    if args.boot {
        return drive_until_idle(context, "keel start --boot").await;
    }
    act(context, "keel start", &args.targets, TaskVerb::Start, None).await
}
