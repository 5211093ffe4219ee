//! `keel attach`: a running container's own input and output, on whichever node it runs.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::detaching::DetachKeys;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::talk::{End, Manner, send_signal, talk};
use crate::{subject, terminal};
use keel_api::Client;
use keel_api::shapes::TaskRef;
use keel_engine::{Duplex, Open, Phase, TaskId};
use std::pin::pin;
use tokio::sync::mpsc;

/// The arguments of `keel attach`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel attach shop/worker\n\nThe end of standard input is not passed on: the container keeps running.\nExit code: the container's own; 0 after the detach keys."
)]
pub struct Args {
    /// Do not pass standard input on
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to a container that has no terminal
    #[arg(
        long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true", require_equals = true
    )]
    sig_proxy: bool,
    /// Keys that detach from a container that has a terminal: letters and ctrl-LETTER, with commas
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: DetachKeys,
    /// A container by name or id, or STACK/SERVICE[.SLOT]
    #[arg(value_name = "TARGET")]
    target: String,
}

/// Runs `keel attach`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel attach").await?;
    let words = [args.target.clone()];
    let word = subject::in_full(context, &connection.client, &words).await?;
    let tasks = subject::tasks(&connection.client, &word[0]).await?;
    let task = one_running(&args.target, &tasks)?;
    let manner = manner(&args, task);
    terminal::demand(manner.stdin, manner.tty)?;
    let what = Open::Attach { task: task.id.clone(), stdin: manner.stdin };
    let talking = connection.client.open(&what).await?;
    match converse(&connection.client, &task.id, talking, manner).await? {
        End::Exited(code) => Ok(Exit::Container(code)),
        End::Detached => Ok(Exit::Done),
        End::Closed => Err(Failure::new(format!("the connection to {} was closed", task.name))
            .hint(format!(
                "`keel ps -a` shows whether it runs; `keel attach {}` again",
                args.target
            ))),
    }
}

fn manner(args: &Args, task: &TaskRef) -> Manner {
    Manner {
        stdin: task.stdin && !args.no_stdin,
        tty: task.tty,
        signals: args.sig_proxy && !task.tty,
        joins: true,
        detach_keys: task.tty.then(|| args.detach_keys.clone()),
    }
}

async fn converse(
    client: &Client,
    task: &TaskId,
    talking: Box<dyn Duplex>,
    manner: Manner,
) -> Result<End> {
    let (tell, mut signals) = mpsc::channel(4);
    let mut talking = pin!(talk(talking, manner, tell));
    loop {
        tokio::select! {
            end = &mut talking => return end,
            Some(signal) = signals.recv() => send_signal(client, task, signal).await,
        }
    }
}

/// The only one that runs, of all that the target means: input for several would go to nobody in
/// particular.
fn one_running<'a>(target: &str, tasks: &'a [TaskRef]) -> Result<&'a TaskRef> {
    let runs =
        |task: &&TaskRef| matches!(task.phase, Phase::Running | Phase::Draining | Phase::Backoff);
    let running: Vec<_> = tasks.iter().filter(runs).collect();
    match running[..] {
        [task] => Ok(task),
        [] => {
            Err(Failure::new(format!("{target} is not running"))
                .hint(format!("`keel start {target}`")))
        }
        _ => {
            let names: Vec<_> = running.iter().map(|task| task.name.as_str()).collect();
            Err(Failure::new(format!("{target} has {} running containers", names.len()))
                .hint(format!("name one of them: {}", names.join(", "))))
        }
    }
}
