//! `keel system df | prune`.

use crate::args::{Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::show::size::size;
use crate::show::{Table, json};
use keel_reconciler::rows::{PruneAsk, PrunedRow, UsageRow};
use std::io;

/// The subcommands of `keel system`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show disk usage and how much of it can be freed
    #[command(after_help = "Example:\n  keel system df")]
    Df(Df),
    /// Remove unused data; what a rollback needs stays
    #[command(after_help = "Example:\n  keel system prune -f")]
    Prune(Prune),
}

/// `system df`.
#[derive(Debug, clap::Args)]
pub struct Df {
    #[command(flatten)]
    listing: Listing,
}

/// `system prune`.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Include images that were pulled by hand and that no container uses
    #[arg(short, long)]
    all: bool,
    /// Include anonymous volumes that no container uses, with their data
    #[arg(long)]
    volumes: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    force: bool,
}

/// Runs `keel system`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Df(args) => df(args, context).await,
        Command::Prune(args) => prune(args, context).await,
    }
}

async fn df(args: Df, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel system df").await?;
    let rows = connection.client.disk_usage().await?;
    connection.close().await;
    let text = match args.listing.format {
        Format::Json => json::render(&rows),
        Format::Table => table(&rows),
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}

fn table(rows: &[UsageRow]) -> String {
    let mut table = Table::new(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for row in rows {
        let share = (row.reclaimable * 100).checked_div(row.size);
        let share = share.map(|percent| format!(" ({percent}%)")).unwrap_or_default();
        table.row([
            row.kind.clone(),
            row.total.to_string(),
            row.active.to_string(),
            size(row.size),
            format!("{}{share}", size(row.reclaimable)),
        ]);
    }
    table.with_nodes(rows.iter().map(|row| row.node.as_str())).render()
}

async fn prune(args: Prune, context: &Context) -> Result<Exit> {
    let images = match args.all {
        true => "all images that no container or revision needs",
        false => "all images that stacks have needed and nothing needs now",
    };
    let mut what = vec![
        "all ended containers of `keel run`",
        "all networks that no container and no stack uses",
        images,
        "checkouts of revisions that cannot be rolled back to",
    ];
    if args.volumes {
        what.push("all anonymous volumes that no container has, with their data");
    }
    if !args.force && !agreed(context, &what)? {
        return Ok(Exit::Failed);
    }
    let connection = connect(context, Need::Drive, "keel system prune").await?;
    let ask = PruneAsk { all: args.all, volumes: args.volumes, images_only: false };
    let pruned = connection.client.prune(&ask).await?;
    connection.close().await;
    told(context, &pruned)
}

/// Asks, as docker does: only `y` is a yes.
pub fn agreed(context: &Context, what: &[&str]) -> Result<bool> {
    let what: String = what.iter().map(|line| format!("  - {line}\n")).collect();
    context.screen.ask(&format!(
        "WARNING! This will remove:\n{what}\nAre you sure you want to continue? [y/N] "
    ));
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::caused("cannot read the answer", &error))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// What went, with the bytes that are free by it.
pub fn told(context: &Context, pruned: &PrunedRow) -> Result<Exit> {
    context.screen.data(&words(pruned))?;
    if pruned.waits {
        context.screen.warn(
            "an image is being pulled or a source read: what may be theirs has stayed; try again later",
        );
    }
    Ok(Exit::Done)
}

fn words(pruned: &PrunedRow) -> String {
    let cleared = &pruned.cleared;
    let list = |title: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("Deleted {title}:\n{}\n\n", names.join("\n")),
    };
    let counts = [(cleared.revisions, "Revisions"), (cleared.contents, "Configs")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: String =
        counts.map(|(count, what)| format!("Deleted {what}: {count}\n\n")).collect();
    [
        list("Containers", &pruned.containers),
        list("Networks", &pruned.networks),
        list("Volumes", &pruned.volumes),
        list("Images", &cleared.images),
        counts,
        format!("Total reclaimed space: {}\n", size(cleared.bytes)),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_reconciler::rows::ClearedRow;

    #[test]
    fn usage_is_listed_as_docker_does() {
        let row = |kind: &str, total, active, size, reclaimable| UsageRow {
            node: "here".to_owned(),
            kind: kind.into(),
            total,
            active,
            size,
            reclaimable,
        };
        let rows = [row("Images", 3, 2, 187_000_000, 20_000_000), row("Local Volumes", 0, 0, 0, 0)];
        insta::assert_snapshot!(table(&rows), @r"
        TYPE            TOTAL   ACTIVE   SIZE    RECLAIMABLE
        Images          3       2        187MB   20MB (10%)
        Local Volumes   0       0        0B      0B
        ");
    }

    #[test]
    fn what_was_pruned_reads_like_dockers() {
        let images = vec!["app:1".into(), "app:2".into()];
        let cleared = ClearedRow { images, revisions: 2, bytes: 1_240, ..ClearedRow::default() };
        let pruned = PrunedRow { networks: vec!["old".into()], cleared, ..PrunedRow::default() };
        insta::assert_snapshot!(words(&pruned), @r"
        Deleted Networks:
        old

        Deleted Images:
        app:1
        app:2

        Deleted Revisions: 2

        Total reclaimed space: 1.24kB
        ");
    }
}
