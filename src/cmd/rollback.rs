//! `keel rollback`: back to a revision that was good.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root::person;
use crate::show::outcome;
use keel_api::Client;
use keel_engine::StackName;
use keel_reconciler::rows::RollbackAsk;

/// The arguments of `keel rollback`.
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

/// Runs `keel rollback`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let who = format!("keel rollback {}", args.stack);
    let mut connection = connect(context, Need::Drive, &who).await?;
    let Args { detach, stack, revision } = args;
    let ask = RollbackAsk { stack, revision, by: person(), detach, again: false };
    let ask = async |client: &Client, again| {
        Ok(client.rollback(&RollbackAsk { again, ..ask.clone() }).await?)
    };
    let exit = outcome::through(&mut connection, context, &who, ask).await;
    connection.close().await;
    exit
}
