//! `keel suspend`: hold a stack off.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::root::person;
use keel_engine::StackName;
use keel_reconciler::rows::SuspendAsk;

/// The arguments of `keel suspend`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel suspend shop --reason 'moving the database'")]
pub struct Args {
    /// Reason, shown by `status`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Which
    #[arg(required = true, value_name = "STACK", value_parser = crate::args::stack)]
    stacks: Vec<StackName>,
}

/// Runs `keel suspend`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Drive, "keel suspend").await?;
    for stack in args.stacks {
        let said = format!("{stack} is suspended; `keel resume {stack}` resumes it");
        let ask = SuspendAsk { stack, by: person(), reason: args.reason.clone() };
        connection.client.suspend(&ask).await?;
        context.screen.say(&said);
    }
    connection.close().await;
    Ok(Exit::Done)
}
