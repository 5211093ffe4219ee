//! `keel rebalance`: tasks leave fuller nodes for emptier ones.

use crate::args::{Format, Listing};
use crate::connect::{Connection, Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root::person;
use crate::show::{json, outcome};
use keel_api::Client;
use keel_engine::StackName;
use keel_plain::line;
use keel_reconciler::rows::{MoveRow, RebalanceAsk};
use std::collections::BTreeSet;

/// The arguments of `keel rebalance`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel rebalance --dry-run shop\n\n\
    Tasks move one after the other, and only where two nodes differ by two tasks of a service or more.")]
pub struct Args {
    /// Print what would move, and move nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for health
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    listing: Listing,
    /// Stacks; all unless given
    #[arg(value_name = "STACK", value_parser = crate::args::stack)]
    stacks: Vec<StackName>,
}

/// Runs `keel rebalance`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let need = if args.dry_run { Need::Read } else { Need::Drive };
    let mut connection = connect(context, need, "keel rebalance").await?;
    let moves = connection.client.moves(args.stacks.clone()).await?;
    match args.listing.format {
        Format::Json => context.screen.data(&json::render(&moves))?,
        Format::Table if moves.is_empty() => context.screen.data("nothing to move")?,
        Format::Table => context.screen.data(&text(&moves))?,
    }
    let mut exit = Exit::Done;
    let stacks: BTreeSet<&StackName> = moves.iter().map(|one| &one.stack).collect();
    for stack in stacks.into_iter().filter(|_| !args.dry_run) {
        let ended = spread(&mut connection, context, stack, args.detach).await?;
        exit = if exit == Exit::Done { ended } else { exit };
    }
    connection.close().await;
    Ok(exit)
}

async fn spread(
    connection: &mut Connection,
    context: &Context,
    stack: &StackName,
    detach: bool,
) -> Result<Exit> {
    let who = format!("keel rebalance {stack}");
    let ask = RebalanceAsk { stack: stack.clone(), by: person(), detach, again: false };
    let ask = async |client: &Client, again| {
        Ok(client.rebalance(&RebalanceAsk { again, ..ask.clone() }).await?)
    };
    outcome::through(connection, context, &who, ask).await
}

fn text(moves: &[MoveRow]) -> String {
    moves
        .iter()
        .map(|one| line(&format!("{}: {}", one.stack, one.text)).to_string() + "\n")
        .collect()
}
