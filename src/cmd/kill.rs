//! `keel kill`.

use crate::cmd::act::act;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use keel_reconciler::ask::TaskVerb;

/// The arguments of `keel kill`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel kill -s HUP shop/web.1")]
pub struct Args {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_name = "SIGNAL")]
    signal: String,
    /// Stacks, containers by name or id, or STACK/SERVICE[.SLOT]
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs `keel kill`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let verb = TaskVerb::Kill { signal: args.signal };
    act(context, "keel kill", &args.targets, verb, None).await
}
