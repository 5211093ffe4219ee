//! `keel ps`: containers, as docker lists them.

use crate::args::{Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{Table, ago, json};
use keel_engine::StackName;
use keel_plain::line;
use keel_plan::status::Note;
use keel_plan::text::of_note;
use keel_reconciler::ask::{ContainerRow, PortRow, StatusRow};
use keel_reconciler::rows::PsAsk;
use std::collections::BTreeSet;

/// The arguments of `keel ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel ps -a shop")]
pub struct Args {
    /// Include containers that do not run
    #[arg(short, long)]
    all: bool,
    /// Print ids only
    #[arg(short = 'q')]
    ids: bool,
    /// Do not truncate ids and commands
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    listing: Listing,
    /// Stacks; all unless given
    #[arg(value_name = "STACK", value_parser = crate::args::stack)]
    stacks: Vec<StackName>,
}

/// Runs `keel ps`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel ps").await?;
    let ask = PsAsk { all: args.all, stacks: args.stacks.clone(), services: vec![] };
    let rows = connection.client.ps(&ask).await?;
    // A stack of which nothing is there is known, or a slip.
    let empty = |stack: &&StackName| !rows.iter().any(|row| row.stack == stack.as_str());
    let unseen: Vec<_> = args.stacks.iter().filter(empty).cloned().collect();
    if !unseen.is_empty() {
        connection.client.status(unseen).await?;
    }
    let whole = args.listing.format == Format::Table && !args.ids && !context.screen.quiet();
    let idle = match whole {
        // Whatever becomes of this: what was asked for are the containers.
        true => connection.client.status(args.stacks.clone()).await.unwrap_or_default(),
        false => vec![],
    };
    connection.close().await;
    let text = match args.listing.format {
        Format::Json => json::render(&rows),
        Format::Table if args.ids || context.screen.quiet() => ids(&rows, args.no_trunc),
        Format::Table => table(&rows, args.no_trunc, ago::now()) + &scaled(&rows) + &nowhere(&idle),
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}

fn ids(rows: &[ContainerRow], whole: bool) -> String {
    rows.iter().map(|row| format!("{}\n", id(row, whole))).collect()
}

fn id(row: &ContainerRow, whole: bool) -> &str {
    if whole { &row.id } else { keel_engine::short(&row.id) }
}

fn table(rows: &[ContainerRow], whole: bool, now: u64) -> String {
    let mut table =
        Table::new(["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    for row in rows {
        table.row([
            id(row, whole).to_owned(),
            row.image.clone(),
            command(&row.command, whole),
            ago::ago(&row.created, now),
            row.status.clone(),
            row.ports.iter().map(port).collect::<Vec<_>>().join(", "),
            row.name.clone(),
        ]);
    }
    table.with_nodes(rows.iter().map(|row| row.node.as_str())).render()
}

/// Services whose number a person set, a line each.
fn scaled(rows: &[ContainerRow]) -> String {
    let told = rows.iter().filter_map(|row| Some((&row.stack, row.scaled.as_ref()?)));
    let told: BTreeSet<_> = told.collect();
    told.iter().map(|(stack, text)| format!("{}\n", line(&format!("{stack}: {text}")))).collect()
}

/// Services that would run on each node, and run on none, a line each.
fn nowhere(rows: &[StatusRow]) -> String {
    let notes = rows.iter().flat_map(|row| row.noted.iter().map(move |note| (&row.stack, note)));
    let told = notes.filter(|(_, note)| matches!(note, Note::Nowhere { .. }));
    told.map(|(stack, note)| format!("{}\n", line(&format!("{stack}: {}", of_note(note)))))
        .collect()
}

fn command(text: &str, whole: bool) -> String {
    const ROOM: usize = 20;
    if whole || text.chars().count() <= ROOM {
        return format!("\"{text}\"");
    }
    let begun: String = text.chars().take(ROOM - 1).collect();
    format!("\"{begun}…\"")
}

fn port(port: &PortRow) -> String {
    let PortRow { host_ip, published, target, protocol } = port;
    match host_ip.contains(':') {
        true => format!("[{host_ip}]:{published}->{target}/{protocol}"),
        false => format!("{host_ip}:{published}->{target}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_listed_as_docker_does() {
        let row = ContainerRow {
            id: "0123456789abcdef".repeat(4),
            name: "hello-web-1".into(),
            stack: "hello".into(),
            service: "web".into(),
            slot: "1".into(),
            node: "here".into(),
            image: "keel.local/hello".into(),
            state: keel_reconciler::ask::ContainerState::Running,
            status: "Up 3 minutes (healthy)".into(),
            health: "healthy".into(),
            pid: Some(42),
            ports: vec![PortRow {
                host_ip: "0.0.0.0".into(),
                published: 8080,
                target: 80,
                protocol: "tcp".into(),
            }],
            created: "1970-01-01T00:00:00Z".into(),
            revision: "3f9c2a1".into(),
            command: "/keel hello web and more".into(),
            restarts: 0,
            exit_code: None,
            message: None,
            addresses: Default::default(),
            scaled: None,
        };
        insta::assert_snapshot!(table(std::slice::from_ref(&row), false, 240_000), @r#"
        CONTAINER ID   IMAGE              COMMAND                  CREATED         STATUS                   PORTS                  NAMES
        0123456789ab   keel.local/hello   "/keel hello web and…"   4 minutes ago   Up 3 minutes (healthy)   0.0.0.0:8080->80/tcp   hello-web-1
        "#);
        assert_eq!(ids(&[row], false), "0123456789ab\n");
    }
}
