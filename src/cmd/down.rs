//! `keel down`: a stack goes away.

use crate::args::Files;
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::load;
use crate::show::outcome;
use crate::subject::{self, Subject};
use keel_api::Client;
use keel_engine::StackName;
use keel_reconciler::ask::DownAsk;

/// The arguments of `keel down`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel down shop\n  keel down --volumes ./shop")]
pub struct Args {
    /// Remove its volumes as well, with all their data
    #[arg(short, long)]
    volumes: bool,
    /// Files (anything with a `/` or `.`) or a stack's name; the current folder unless given
    #[arg(value_name = "PATH|STACK")]
    subject: Option<String>,
    #[command(flatten)]
    files: Files,
}

/// Runs `keel down`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let (stack, by_path) = stack(&args, context)?;
    let who = format!("keel down {stack}");
    let mut connection = connect(context, Need::Drive, &who).await?;
    let meant = subject::path_meant(&stack).filter(|_| !by_path);
    let ask = DownAsk { stack, volumes: args.volumes, by_path };
    // Asked again, it may be down already.
    let ask = async |client: &Client, again| {
        Ok(client.down(&DownAsk { by_path: by_path || again, ..ask.clone() }).await?)
    };
    let exit = outcome::through(&mut connection, context, &who, ask).await;
    connection.close().await;
    // Volumes may be left of a stack that nothing else is known of, so it is asked first.
    if let (Ok(Exit::Failed), Some(hint)) = (&exit, meant) {
        context.screen.problem(&format!("hint: {hint}"));
    }
    exit
}

/// Which stack goes, and whether its files were named.
fn stack(args: &Args, context: &Context) -> Result<(StackName, bool)> {
    let files = args.files.clone().after(&context.files);
    // A name says enough, as with docker compose.
    if let (None, Some(name)) = (&args.subject, &files.project_name) {
        return Ok((subject::stack(name)?, true));
    }
    Ok(match Subject::of(args.subject.as_deref(), args.files.clone(), context)? {
        Subject::Stack(name) => (name, false),
        Subject::Files(asked) => (load::name(context, &asked)?, true),
    })
}
