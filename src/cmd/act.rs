//! What `start`, `stop`, `restart`, `kill` and `rm` share: targets in, names out.

use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::target;
use keel_reconciler::ask::{TaskAsk, TaskVerb};

/// Does it, and prints each target when it is done, as docker does.
pub async fn act(
    context: &Context,
    who: &str,
    targets: &[String],
    verb: TaskVerb,
    timeout: Option<u64>,
) -> Result<Exit> {
    let connection = connect(context, Need::Drive, who).await?;
    let spread = target::spread(&connection.client, targets).await?;
    let done = connection.client.act(&TaskAsk { targets: spread, verb, timeout }).await?;
    connection.close().await;
    if !context.screen.quiet() {
        for name in done.iter().flat_map(|done| &done.containers) {
            context.screen.data(name)?;
        }
    }
    Ok(Exit::Done)
}
