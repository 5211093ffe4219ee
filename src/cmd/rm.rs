//! `keel rm`.

use crate::cmd::act::{print, through};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::subject;
use keel_reconciler::ask::{TaskAsk, TaskVerb};

/// The arguments of `keel rm`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel rm -f -v old-experiment")]
pub struct Args {
    /// Kill running containers first
    #[arg(short, long)]
    force: bool,
    /// Stop running containers first
    #[arg(short, long)]
    stop: bool,
    /// Remove anonymous volumes as well
    #[arg(short, long)]
    volumes: bool,
    /// Stacks, containers by name or id, or STACK/SERVICE[.SLOT]
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs `keel rm`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let who = "keel rm";
    let mut connection = connect(context, Need::Drive, who).await?;
    let targets = subject::in_full(context, &connection.client, &args.targets).await?;
    let targets = subject::spread(&connection.client, &targets).await?;
    if args.stop {
        let ask =
            TaskAsk { targets: targets.clone(), verb: TaskVerb::Stop, timeout: None, again: false };
        through(&mut connection, context, who, &ask).await?;
    }
    let verb = TaskVerb::Remove { force: args.force, volumes: args.volumes };
    let ask = TaskAsk { targets, verb, timeout: None, again: false };
    let done = through(&mut connection, context, who, &ask).await?;
    connection.close().await;
    print(context, &done)?;
    Ok(Exit::Done)
}
