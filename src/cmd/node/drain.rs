//! `keel node drain`: what runs on nodes moves elsewhere; with a time limit, this waits until it has.

use super::changes::{Named, each};
use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use futures_util::StreamExt;
use keel_api::Client;
use keel_api::pool::NodeChange;
use keel_reconciler::ask::{ContainerRow, ContainerState};
use keel_reconciler::config::parse_duration;
use keel_reconciler::rows::PsAsk;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Hints may be lost: what runs is asked for at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// `node drain`.
#[derive(Debug, clap::Args)]
pub struct Drain {
    /// Stop what cannot run on another node
    #[arg(short, long)]
    force: bool,
    /// Wait until nothing runs on the nodes, at most so long; then list what still does, and fail
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    nodes: Named,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration such as 30s, 10m or 1h".to_owned())
}

/// Runs `keel node drain`.
pub async fn run(args: Drain, context: &Context) -> Result<Exit> {
    let (who, names) = ("keel node drain", &args.nodes.names);
    let drained = each(names, &NodeChange::Drain { force: args.force }, who, context).await?;
    let Some(patience) = args.timeout else { return Ok(drained) };
    let connection = to_daemon(context, who).await?;
    let left = until_empty(&connection.client, names, patience).await;
    connection.close().await;
    match left? {
        left if left.is_empty() => Ok(Exit::Done),
        left => Err(still_there(context, &left, names)),
    }
}

/// What still runs on these nodes when the time is over; nothing, as soon as that is so.
async fn until_empty(
    client: &Client,
    nodes: &[String],
    patience: Duration,
) -> Result<Vec<ContainerRow>> {
    let over = Instant::now() + patience;
    let mut hints = client.events().await?;
    loop {
        let mut rows = client.ps(&PsAsk { all: true, ..PsAsk::default() }).await?;
        rows.retain(|row| nodes.contains(&row.node) && may_run(row));
        let left = over.saturating_duration_since(Instant::now());
        if rows.is_empty() || left.is_zero() {
            return Ok(rows);
        }
        if let Ok(None | Some(Err(_))) = timeout(left.min(LOOK_AGAIN), hints.next()).await {
            hints = client.events().await?;
        }
    }
}

/// Of a node that does not answer, nobody knows what has ended.
fn may_run(row: &ContainerRow) -> bool {
    !matches!(row.state, ContainerState::Exited | ContainerState::Dead)
}

fn still_there(context: &Context, left: &[ContainerRow], nodes: &[String]) -> Failure {
    for row in left {
        let place = if row.stack.is_empty() { " (`keel run`)" } else { "" };
        context.screen.warn(&format!("{}{place} is still on node {}", row.name, row.node));
    }
    Failure::new(format!("{} not empty yet; the drain continues", is_or_are(nodes))).hint(
        "`keel status` says what keeps containers there; `keel node drain --force` stops what cannot run elsewhere",
    )
}

fn is_or_are(nodes: &[String]) -> String {
    match nodes {
        [node] => format!("node {node} is"),
        nodes => format!("nodes {} are", nodes.join(", ")),
    }
}
