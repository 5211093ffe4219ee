//! `keel run`: a command in a new container, outside of every stack.

mod ask;
mod service;

pub use ask::Args;

use crate::connect::{Connection, Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::talk::{End, Manner, send_signal, talk};
use crate::terminal;
use ask::{WHO, ask};
use futures_util::StreamExt;
use keel_api::shapes::Until;
use keel_api::{Client, ClientError};
use keel_engine::{Open, Phase, TaskId};
use keel_reconciler::ask::{RefusalKind, RunAnswer, TaskAsk, TaskVerb};
use service::Service;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;

/// What ends within this time is not worth letting go of the lock.
const SHORT: Duration = Duration::from_secs(1);
/// The exit code where no container ran.
pub const OWN_FAILURE: i32 = 125;

/// Runs `keel run`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    launch(args, context).await.map_err(|failure| match failure.exit() {
        Exit::Failed | Exit::Usage => failure.with_exit(Exit::Container(OWN_FAILURE)),
        _ => failure,
    })
}

async fn launch(args: Args, context: &Context) -> Result<Exit> {
    if !args.detach {
        terminal::demand(args.interactive, args.tty)?;
    }
    let service = Service::meant(&args.image[0], context)?;
    let own = if service.is_none() { Some(ask(&args)?) } else { None };
    let mut connection = connect(context, Need::Drive, WHO).await?;
    let ask = match (service, own) {
        (Some(service), _) => service.ask(&args, &mut connection, context).await,
        (None, own) => Ok(own.expect("it is one or the other")),
    };
    let ask = match ask {
        Ok(ask) => ask,
        Err(failure) => {
            connection.close().await;
            return Err(failure);
        }
    };
    let made = connection.client.run(&ask).await?;
    let started = async {
        if args.detach {
            started(&connection.client, &made, Until::Started).await?;
            context.screen.data(made.id.as_str())?;
            return Ok(Exit::Done);
        }
        let manner = Manner {
            stdin: args.interactive,
            tty: args.tty,
            signals: !args.tty,
            ..Manner::default()
        };
        attached(&mut connection, context, &made, manner).await
    };
    let end = started.await;
    if !args.detach && (args.rm || end.is_err()) {
        connection.retake(context, WHO).await?;
        until_gone(&connection.client, &made.id).await?;
    }
    connection.close().await;
    end
}

/// Attaches before the process starts, so that nothing that it says is missed.
async fn attached(
    connection: &mut Connection,
    context: &Context,
    made: &RunAnswer,
    manner: Manner,
) -> Result<Exit> {
    started(&connection.client, made, Until::Ready).await?;
    let what = Open::Attach { task: made.id.clone(), stdin: manner.stdin };
    let talking = connection.client.open(&what).await?;
    connection.client.start(&made.id).await?;
    let (tell, mut signals) = mpsc::channel(4);
    let mut talking = pin!(talk(talking, manner, tell));
    let mut patience = pin!(tokio::time::sleep(SHORT));
    loop {
        tokio::select! {
            end = &mut talking => return match end? {
                End::Exited(code) => Ok(Exit::Container(code)),
                End::Closed | End::Detached => Err(Failure::new("the container is gone")),
            },
            Some(signal) = signals.recv() => send_signal(&connection.client, &made.id, signal).await,
            // The shim does the rest: others may have the lock while it runs.
            () = &mut patience, if !patience.is_elapsed() => connection.release(context).await?,
        }
    }
}

/// Waits for it; one that cannot be made what it was asked to be goes again.
async fn started(client: &Client, made: &RunAnswer, until: Until) -> Result<()> {
    let task = client.wait_once(&made.id, until).await?;
    if until.reached(&task.phase) && task.phase != Phase::Rejected {
        return Ok(());
    }
    let gone = TaskAsk {
        targets: vec![made.id.as_str().to_owned()],
        verb: TaskVerb::Remove { force: true, volumes: true },
        timeout: None,
        again: false,
    };
    client.act(&gone).await?;
    Err(Failure::new(task.message.unwrap_or_else(|| "the container cannot be started".to_owned())))
}

/// `--rm`: whoever drives the root removes it; this waits until that is done.
async fn until_gone(client: &Client, task: &TaskId) -> Result<()> {
    let mut hints = client.events().await?;
    loop {
        match client.resolve(task.as_str()).await {
            Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound => {
                return Ok(());
            }
            other => other?,
        };
        // Hints may be lost.
        let _ = tokio::time::timeout(SHORT, hints.next()).await;
    }
}
