//! `keel apply`: one convergence, until everything has settled.

use crate::args::Files;
use crate::connect::{Connection, Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::load;
use crate::subject::{self, Subject};
use keel_reconciler::ask::{ConvergeAsk, PlanTarget};

/// The arguments of `keel apply`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel apply stacks/\n  keel apply -f compose.yaml -f compose.prod.yaml\n\nExit code 3 means: done, but not healthy in time."
)]
pub struct Args {
    /// Files (anything with a `/` or `.`) or a stack's name; the current folder unless given
    #[arg(value_name = "PATH|STACK")]
    subject: Option<String>,
    #[command(flatten)]
    files: Files,
    /// Take over the stack from its current owner
    #[arg(long)]
    take_over: bool,
}

/// Runs `keel apply`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let subject = Subject::of(args.subject.as_deref(), args.files, context)?;
    let targets = targets(context, &subject)?;
    let who = format!("keel apply {}", subject.shown());
    let mut connection = connect(context, Need::Drive, &who).await?;
    subject::known(&connection.client, &subject).await?;
    let mut worst = Exit::Done;
    for target in targets {
        let exit = converge(&mut connection, context, &who, target, args.take_over).await?;
        worst = if worst == Exit::Failed || exit == Exit::Done { worst } else { exit };
    }
    connection.close().await;
    Ok(worst)
}

fn targets(context: &Context, subject: &Subject) -> Result<Vec<PlanTarget>> {
    Ok(match subject {
        Subject::Stack(name) => vec![PlanTarget::Stack(name.clone())],
        Subject::Files(asked) => {
            let stacks = load::many(context, asked)?;
            stacks.into_iter().map(|one| PlanTarget::Submitted(Box::new(one))).collect()
        }
    })
}

async fn converge(
    connection: &mut Connection,
    context: &Context,
    who: &str,
    target: PlanTarget,
    take_over: bool,
) -> Result<Exit> {
    let ask = ConvergeAsk {
        target,
        take_over,
        resolve: true,
        pull: false,
        recreate: false,
        services: vec![],
        detach: false,
        keep_stopped: true,
    };
    super::up::converge(connection, context, who, ask).await
}
