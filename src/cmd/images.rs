//! `keel images`: as docker lists them.

use crate::args::{Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::size::size;
use crate::show::{Table, ago, json};
use keel_reconciler::rows::ImageRow;

/// The arguments of `keel images`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel images --format json")]
pub struct Args {
    /// Print ids only
    #[arg(short = 'q')]
    ids: bool,
    /// Do not truncate ids
    #[arg(long)]
    no_trunc: bool,
    /// Show the digests of the manifests
    #[arg(long)]
    digests: bool,
    #[command(flatten)]
    listing: Listing,
}

/// Runs `keel images`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel images").await?;
    let rows = connection.client.images().await?;
    connection.close().await;
    let there: Vec<_> = rows.iter().filter(|row| row.digest.is_some()).collect();
    let text = match args.listing.format {
        Format::Json => json::render(&there),
        Format::Table if args.ids || context.screen.quiet() => {
            there.iter().map(|row| format!("{}\n", id(row, args.no_trunc))).collect()
        }
        Format::Table if args.digests => with_digests(&there, args.no_trunc, ago::now()),
        Format::Table => table(&there, args.no_trunc, ago::now()),
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}

fn id(row: &ImageRow, whole: bool) -> &str {
    match row.id.strip_prefix("sha256:") {
        Some(hex) if !whole => keel_engine::short(hex),
        _ => &row.id,
    }
}

fn created(row: &ImageRow, now: u64) -> String {
    row.created.as_ref().map_or_else(|| "N/A".to_owned(), |time| ago::ago(time, now))
}

fn table(rows: &[&ImageRow], whole: bool, now: u64) -> String {
    let mut table = Table::new(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    for row in rows {
        table.row([
            row.repository.clone(),
            row.tag.clone(),
            id(row, whole).to_owned(),
            created(row, now),
            size(row.size),
        ]);
    }
    table.with_nodes(rows.iter().map(|row| row.node.as_str())).render()
}

fn with_digests(rows: &[&ImageRow], whole: bool, now: u64) -> String {
    let mut table = Table::new(["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"]);
    for row in rows {
        table.row([
            row.repository.clone(),
            row.tag.clone(),
            row.digest.clone().unwrap_or_else(|| "<none>".to_owned()),
            id(row, whole).to_owned(),
            created(row, now),
            size(row.size),
        ]);
    }
    table.with_nodes(rows.iter().map(|row| row.node.as_str())).render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_listed_as_docker_does() {
        let row = ImageRow {
            reference: "nginx:1.27".into(),
            repository: "nginx".into(),
            tag: "1.27".into(),
            digest: Some("sha256:aa".into()),
            id: "sha256:0123456789abcdef".into(),
            size: 187_000_000,
            created: Some("1970-01-01T00:00:00Z".into()),
            node: "here".into(),
            containers: 1,
            failure: None,
            failure_kind: None,
        };
        insta::assert_snapshot!(table(&[&row], false, 86_400_000 * 3), @r"
        REPOSITORY   TAG    IMAGE ID       CREATED      SIZE
        nginx        1.27   0123456789ab   3 days ago   187MB
        ");
    }
}
