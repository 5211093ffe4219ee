//! `keel exec`: a further command in a running container.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::talk::{End, Manner, nobody, talk};
use crate::{subject, terminal};
use keel_api::shapes::TaskRef;
use keel_engine::{Exec, Open, Phase};

/// The arguments of `keel exec`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel exec -it shop/db psql -U app\n\nExit code: the command's own; 125 to 127 if it could not be run."
)]
pub struct Args {
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,
    /// Allocate a terminal
    #[arg(short, long)]
    tty: bool,
    /// Start the command and return
    #[arg(short, long)]
    detach: bool,
    /// User and group: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Set a variable: KEY=VALUE, or KEY to pass on the caller's
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Grant all capabilities
    #[arg(long)]
    privileged: bool,
    /// A container by name or id, or STACK/SERVICE[.SLOT]; then the command
    #[arg(
        required = true,
        num_args = 2..,
        trailing_var_arg = true,
        value_names = ["TARGET", "COMMAND"]
    )]
    target: Vec<String>,
}

const OWN_FAILURE: Exit = Exit::Container(125);

/// Runs `keel exec`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    exec(args, context).await.map_err(|failure| match failure.exit() {
        Exit::Failed | Exit::Usage => failure.with_exit(OWN_FAILURE),
        _ => failure,
    })
}

async fn exec(mut args: Args, context: &Context) -> Result<Exit> {
    if !args.detach {
        terminal::demand(args.interactive, args.tty)?;
    }
    let command = args.target.split_off(1);
    let connection = connect(context, Need::Read, "keel exec").await?;
    let word = subject::in_full(context, &connection.client, &args.target[..1]).await?;
    let tasks = subject::tasks(&connection.client, &word[0]).await?;
    let task = running(&args.target[0], &tasks)?;
    let manner = Manner { stdin: args.interactive, tty: args.tty, ..Manner::default() };
    let exec = Exec {
        command,
        tty: args.tty,
        stdin: args.interactive,
        env: with_values(args.env),
        user: args.user,
        working_dir: args.workdir,
        privileged: args.privileged,
    };
    let talking = connection.client.open(&Open::Exec { task: task.id.clone(), exec }).await?;
    if args.detach {
        return Ok(Exit::Done);
    }
    match talk(talking, manner, nobody()).await? {
        End::Exited(code) => Ok(Exit::Container(code)),
        End::Closed | End::Detached => Err(Failure::new("the container is gone")),
    }
}

/// The first that runs, of all that the target means.
fn running<'a>(target: &str, tasks: &'a [TaskRef]) -> Result<&'a TaskRef> {
    let runs = |task: &&TaskRef| matches!(task.phase, Phase::Running | Phase::Draining);
    tasks.iter().find(runs).ok_or_else(|| {
        Failure::new(format!("{target} is not running")).hint(format!("`keel start {target}`"))
    })
}

/// A variable without a value is the caller's own; one that the caller lacks is left out.
fn with_values(words: Vec<String>) -> Vec<String> {
    let value = |word: String| match word.contains('=') {
        true => Some(word),
        false => std::env::var(&word).ok().map(|value| format!("{word}={value}")),
    };
    words.into_iter().filter_map(value).collect()
}
