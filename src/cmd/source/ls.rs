//! `keel source ls`: where stacks come from, and whether they can be read.

use crate::args::{Format, Listing};
use crate::connect::to_daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{Table, ago, json};
use keel_reconciler::ask::SourceRow;

/// The arguments of `keel source ls`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    listing: Listing,
}

/// Runs `keel source ls`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = to_daemon(context, "keel source ls").await?;
    let rows = connection.client.sources().await?;
    connection.close().await;
    match args.listing.format {
        Format::Json => context.screen.data(&json::render(&rows))?,
        Format::Table => context.screen.data(&table(&rows, ago::now()))?,
    }
    Ok(Exit::Done)
}

fn table(rows: &[SourceRow], now: u64) -> String {
    let mut table = Table::new(["NAME", "LOCATION", "REVISION", "FETCHED", "STATE"]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.location.clone(),
            keel_engine::short(&row.revision).to_owned(),
            if row.fetched.is_empty() { "never".to_owned() } else { ago::ago(&row.fetched, now) },
            state(row, now),
        ]);
    }
    table.render()
}

/// In a few words: `keel status` has all of them.
fn state(row: &SourceRow, now: u64) -> String {
    if let Some(since) = &row.failing {
        let first = row.problems.first().map_or("", |problem| problem.lines().next().unwrap_or(""));
        let since = ago::ago(since, now);
        let what = first.trim_start_matches(&format!("error: source {}: ", row.name));
        return format!("failing, first {since}: {what}");
    }
    if row.held.is_some() {
        return format!("held: `keel confirm {}`", row.name);
    }
    match row.problems.len() {
        0 if row.fetched.is_empty() => "new".to_owned(),
        0 => "ok".to_owned(),
        1 => "1 stack has problems".to_owned(),
        many => format!("{many} problems"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_say_how_they_are() {
        let row = |name: &str| SourceRow {
            name: name.into(),
            location: "https://git.example.org/home.git main".into(),
            revision: "3f9c2a1b5d7e9f".into(),
            fetched: "1970-01-01T00:00:00Z".into(),
            ..SourceRow::default()
        };
        let rows = [
            row("fine"),
            SourceRow {
                failing: Some("1970-01-01T00:00:30Z".into()),
                problems: vec!["error: source away: cannot fetch x: refused\n\nhint: y\n".into()],
                ..row("away")
            },
            SourceRow { held: Some("x".into()), ..row("emptied") },
            SourceRow { problems: vec!["error: x".into()], ..row("typo") },
            SourceRow { fetched: String::new(), revision: String::new(), ..row("new") },
        ];
        insta::assert_snapshot!(table(&rows, 60_000), @r"
        NAME      LOCATION                                REVISION       FETCHED              STATE
        fine      https://git.example.org/home.git main   3f9c2a1b5d7e   About a minute ago   ok
        away      https://git.example.org/home.git main   3f9c2a1b5d7e   About a minute ago   failing, first 30 seconds ago: cannot fetch x: refused
        emptied   https://git.example.org/home.git main   3f9c2a1b5d7e   About a minute ago   held: `keel confirm emptied`
        typo      https://git.example.org/home.git main   3f9c2a1b5d7e   About a minute ago   1 stack has problems
        new       https://git.example.org/home.git main                  never                new
        ");
    }
}
