//! `keel pull`: bring images.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::outcome;
use keel_api::Client;
use keel_reconciler::rows::PullAsk;

/// The arguments of `keel pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel pull nginx:1.27")]
pub struct Args {
    /// Images, as in a Compose file
    #[arg(required = true, value_name = "IMAGE")]
    references: Vec<String>,
}

const WHO: &str = "keel pull";

/// Runs `keel pull`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let mut connection = connect(context, Need::Drive, WHO).await?;
    let ask = PullAsk { references: args.references.clone() };
    let ask = async |client: &Client, _| Ok(client.pull(&ask).await?);
    let exit = outcome::through(&mut connection, context, WHO, ask).await?;
    connection.close().await;
    if exit == Exit::Done && !context.screen.quiet() {
        args.references.iter().try_for_each(|reference| context.screen.data(reference))?;
    }
    Ok(exit)
}
