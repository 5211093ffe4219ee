//! `keel rollback`: back to a revision that was good.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root::person;
use crate::show::outcome;
use keel_engine::StackName;
use keel_reconciler::rows::RollbackAsk;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel rollback shop\n  keel rollback shop 3f9c2a1")]
pub struct Args {
    /// Do not wait for health
    #[arg(short, long)]
    detach: bool,
    /// Which
    #[arg(value_name = "STACK", value_parser = crate::args::stack)]
    stack: StackName,
    /// The beginning of a revision that was good; the one before the present one unless given
    #[arg(value_name = "REVISION")]
    revision: Option<String>,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel rollback").await?;
    let Args { detach, stack, revision } = args;
    let ask = RollbackAsk { stack, revision, by: person(), detach };
    let exit = outcome::watch(&context.screen, connection.client.rollback(&ask).await?).await;
    connection.close().await;
    exit
}
