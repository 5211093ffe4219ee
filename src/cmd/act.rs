//! What `start`, `stop`, `restart`, `kill` and `rm` share: targets in, names out.

use crate::connect::{Connection, Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::subject;
use keel_api::ClientError;
use keel_reconciler::ask::{RefusalKind, TaskAsk, TaskVerb};
use keel_reconciler::rows::TaskDone;

/// Does it, and prints each container when it is done, as docker does.
pub async fn act(
    context: &Context,
    who: &str,
    targets: &[String],
    verb: TaskVerb,
    timeout: Option<u64>,
) -> Result<Exit> {
    let mut connection = connect(context, Need::Drive, who).await?;
    let targets = subject::in_full(context, &connection.client, targets).await?;
    let targets = subject::spread(&connection.client, &targets).await?;
    let ask = TaskAsk { targets, verb, timeout, again: false };
    let done = through(&mut connection, context, who, &ask).await?;
    connection.close().await;
    print(context, &done)?;
    Ok(Exit::Done)
}

/// Asks whoever drives: a `keel serve` that comes in the middle, too, which goes on with what was asked.
pub async fn through(
    connection: &mut Connection,
    context: &Context,
    who: &str,
    ask: &TaskAsk,
) -> Result<Vec<TaskDone>> {
    let mut ask = ask.clone();
    let waits = |container: &str, why: &str| {
        context.screen.say(&format!("{container} waits: {why}"));
    };
    loop {
        match connection.client.acting(&ask, waits).await {
            Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::TakenOver => {
                connection.follow(context, who).await?;
                ask.again = true;
            }
            done => return Ok(done?),
        }
    }
}

/// The names of those that something was done to.
pub fn print(context: &Context, done: &[TaskDone]) -> Result<()> {
    if context.screen.quiet() {
        return Ok(());
    }
    done.iter().flat_map(|done| &done.containers).try_for_each(|name| context.screen.data(name))
}
