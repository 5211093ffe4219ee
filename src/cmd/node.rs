//! `keel node ls | inspect | label | drain | activate | pause | confirm-dead | rm`: the nodes of the pool.

mod changes;
mod drain;

use crate::args::{Format, Listing};
use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::show::{Table, json};
use changes::{Named, each};
use keel_api::pool::{NodeChange, NodeRow, NodeState};
use keel_reconciler::clock::roughly;
use std::collections::BTreeMap;

/// The subcommands of `keel node`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List nodes
    #[command(visible_alias = "list", after_help = "Example:\n  keel node ls")]
    Ls(Ls),
    /// Show the details of nodes
    #[command(after_help = "Example:\n  keel node inspect shed")]
    Inspect(Named),
    /// Set labels of a node; KEY= with nothing after it, or KEY-, removes one
    #[command(after_help = "Example:\n  keel node label shed zone=a disk=ssd old-")]
    Label(Label),
    /// Place nothing new on nodes
    #[command(after_help = "Example:\n  keel node pause shed")]
    Pause(Named),
    /// Move what runs on nodes elsewhere
    #[command(after_help = "Example:\n  keel node drain shed")]
    Drain(drain::Drain),
    /// Let nodes take tasks again
    #[command(after_help = "Example:\n  keel node activate shed")]
    Activate(Named),
    /// Confirm that the machines of silent nodes do not run any more
    #[command(
        after_help = "Tasks whose data is on the node, and exclusive ones, are then started on other nodes, without \
                      that data.\nIf the machine still runs, two tasks may do the same work at a time.\n\nExample:\n  \
                      keel node confirm-dead shed"
    )]
    ConfirmDead(Named),
    /// Remove nodes from the pool
    #[command(visible_alias = "remove", after_help = "Example:\n  keel node rm --force shed")]
    Rm(Rm),
}

/// `node ls`.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Print names only
    #[arg(short)]
    quiet_names: bool,
    #[command(flatten)]
    listing: Listing,
}

/// `node label`.
#[derive(Debug, clap::Args)]
pub struct Label {
    /// Its name
    #[arg(value_name = "NODE")]
    name: String,
    /// What to set and to remove
    #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = change)]
    labels: Vec<(String, Option<String>)>,
}

/// `node rm`.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// Remove nodes that are connected, too
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    nodes: Named,
}

/// `KEY=VALUE`, or `KEY-` for a label that goes.
fn change(text: &str) -> std::result::Result<(String, Option<String>), String> {
    let parsed = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text.strip_suffix('-').unwrap_or_default(), None),
    };
    match parsed.0.is_empty() {
        true => Err("it must be KEY=VALUE, or KEY- to remove a label".to_owned()),
        false => Ok((parsed.0.to_owned(), parsed.1)),
    }
}

/// Runs `keel node`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Ls(args) => list(args, context).await,
        Command::Inspect(named) => inspect(named, context).await,
        Command::Label(Label { name, labels }) => {
            let changes: BTreeMap<_, _> = labels.into_iter().collect();
            each(&[name], &NodeChange::Label(changes), "keel node label", context).await
        }
        Command::Pause(named) => {
            each(&named.names, &NodeChange::Pause, "keel node pause", context).await
        }
        Command::Drain(args) => drain::run(args, context).await,
        Command::Activate(named) => {
            each(&named.names, &NodeChange::Activate, "keel node activate", context).await
        }
        Command::ConfirmDead(named) => {
            each(&named.names, &NodeChange::ConfirmDead, "keel node confirm-dead", context).await
        }
        Command::Rm(Rm { force, nodes }) => {
            each(&nodes.names, &NodeChange::Remove { force }, "keel node rm", context).await
        }
    }
}

async fn rows(who: &str, context: &Context) -> Result<Vec<NodeRow>> {
    let connection = to_daemon(context, who).await?;
    let rows = connection.client.nodes().await?;
    connection.close().await;
    Ok(rows)
}

async fn list(args: Ls, context: &Context) -> Result<Exit> {
    let rows = rows("keel node ls", context).await?;
    let text = match (args.quiet_names, args.listing.format) {
        (true, _) => rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>().join("\n"),
        (false, Format::Json) => json::render(&rows),
        (false, Format::Table) => table(&rows),
    };
    context.screen.data(&text)?;
    if !args.quiet_names && args.listing.format == Format::Table {
        rows.iter().for_each(|row| warn(row, context));
    }
    Ok(Exit::Done)
}

fn warn(row: &NodeRow, context: &Context) {
    if row.state == NodeState::Degraded {
        context.screen.warn(&format!("node {}: {}", row.name, row.why));
    }
    for warning in &row.warnings {
        context.screen.warn(&format!("node {}: {warning}", row.name));
    }
}

async fn inspect(named: Named, context: &Context) -> Result<Exit> {
    let mut rows = rows("keel node inspect", context).await?;
    for name in &named.names {
        if !rows.iter().any(|row| row.name.as_str() == name) {
            return Err(Failure::new(format!("no node `{name}` belongs to the pool"))
                .hint("`keel node ls` lists its nodes"));
        }
    }
    rows.retain(|row| named.names.iter().any(|name| row.name.as_str() == name));
    context.screen.data(&json::render(&rows))?;
    Ok(Exit::Done)
}

fn table(rows: &[NodeRow]) -> String {
    let mut table =
        Table::new(["NAME", "ID", "ROLE", "STATE", "AVAILABILITY", "ADDR", "VERSION", "LABELS"]);
    for row in rows {
        let labels: Vec<_> =
            row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let silent = || roughly(row.silent_for).to_lowercase();
        let state = match row.state {
            NodeState::Ready => "Ready".to_owned(),
            NodeState::Degraded => "Degraded".to_owned(),
            NodeState::Unknown => format!("Unknown ({})", silent()),
            NodeState::Down => format!("Down ({})", silent()),
        };
        table.row([
            row.name.to_string(),
            row.id.clone(),
            row.role.clone(),
            state,
            row.availability.clone(),
            row.addr.clone(),
            row.version.clone(),
            labels.join(","),
        ]);
    }
    table.render()
}
