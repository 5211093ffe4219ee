//! `keel down`: a stack goes away.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::load;
use crate::show::outcome;
use crate::target::Subject;
use keel_api::Client;
use keel_reconciler::ask::DownAsk;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel down shop\n  keel down --volumes ./shop")]
pub struct Args {
    /// Its volumes too, with all their data
    #[arg(short, long)]
    volumes: bool,
    /// Files (anything with a `/` or `.`) or a stack's name; the current folder unless given
    #[arg(value_name = "PATH|STACK")]
    subject: Option<String>,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let (stack, by_path) = match Subject::of(args.subject.as_deref())? {
        Subject::Stack(name) => (name, false),
        Subject::Path(path) => (load::name(context, &path)?, true),
    };
    let who = format!("keel down {stack}");
    let mut connection = connect(context, Need::Drive, &who).await?;
    let ask = DownAsk { stack, volumes: args.volumes, by_path };
    // Asked again, it may be down already.
    let ask = async |client: &Client, again| {
        Ok(client.down(&DownAsk { by_path: by_path || again, ..ask.clone() }).await?)
    };
    let exit = outcome::through(&mut connection, context, &who, ask).await;
    connection.close().await;
    exit
}
