//! `keel history`: what was done to stacks, why, and what became of it.

use crate::args::{Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::show::{Table, ago, json};
use keel_engine::{StackName, short};
use keel_plain::line;
use keel_reconciler::rows::{HistoryRow, Stages};

/// The arguments of `keel history`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  keel history shop\n  keel history show 12"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    listing: Listing,
    /// Stacks; all unless given
    #[arg(value_name = "STACK", value_parser = crate::args::stack)]
    stacks: Vec<StackName>,
}

/// What else can be done.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Everything about one operation
    #[command(after_help = "Example:\n  keel history show 12")]
    Show(Show),
}

/// `history show`.
#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    listing: Listing,
    /// The operation's number
    #[arg(value_name = "NUMBER")]
    number: u64,
}

/// Runs `keel history`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel history").await?;
    let rows = connection.client.history(args.stacks).await?;
    connection.close().await;
    match args.command {
        None => {
            let text = match args.listing.format {
                Format::Json => json::render(&rows),
                Format::Table => table(&rows, ago::now()),
            };
            context.screen.data(&text)?;
        }
        Some(Command::Show(show)) => {
            let row = rows.into_iter().find(|row| row.number == show.number);
            let row = row.ok_or_else(|| {
                Failure::new(format!("no operation has the number {}", show.number))
                    .hint("`keel history` lists them; old ones are forgotten")
            })?;
            let text = match show.listing.format {
                Format::Json => json::render(&row),
                Format::Table => whole(&row, ago::now()),
            };
            context.screen.data(&text)?;
        }
    }
    Ok(Exit::Done)
}

fn table(rows: &[HistoryRow], now: u64) -> String {
    let mut table = Table::new([
        "NUMBER", "STACK", "REVISION", "BEGAN", "TOOK", "OUTCOME", "TRIGGER", "REASON",
    ]);
    for row in rows.iter().rev() {
        let times = if row.times > 1 { format!(" ×{}", row.times) } else { String::new() };
        table.row([
            row.number.to_string(),
            row.stack.clone(),
            short(&row.revision).to_owned(),
            ago::ago(&row.at, now),
            took(row),
            format!("{}{times}", row.state),
            row.trigger.clone(),
            row.reason.clone(),
        ]);
    }
    table.render()
}

/// From beginning to end; of several in a row that says nothing.
fn took(row: &HistoryRow) -> String {
    let at = |time: &str| time.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond());
    match (at(&row.at), at(&row.until)) {
        (Some(from), Some(to)) if row.times == 1 && !row.actions.is_empty() => {
            seconds(u64::try_from(to - from).unwrap_or(0))
        }
        _ => String::new(),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// Most stages take less than a second, and are looked at because one did not.
fn brief(milliseconds: u64) -> String {
    if milliseconds < 1000 { format!("{milliseconds}ms") } else { seconds(milliseconds) }
}

fn whole(row: &HistoryRow, now: u64) -> String {
    let times =
        if row.times > 1 { format!(", {} times in a row", row.times) } else { String::new() };
    let commit = match (row.author.as_str(), row.subject.as_str()) {
        ("", _) => String::new(),
        (author, subject) => format!(" by {author}: {subject}"),
    };
    let mut lines = vec![
        format!("{} of {}, {}{times}", row.number, row.stack, ago::ago(&row.at, now)),
        format!("  revision   {}{commit}", row.revision),
        format!("  trigger    {}", row.trigger),
        format!("  outcome    {}: {}", row.state, row.reason),
    ];
    let Stages { fetch, load, plan, pull, start, health } = row.stages;
    let stages = [
        ("fetch", fetch),
        ("load", load),
        ("plan", plan),
        ("pull", pull),
        ("start", start),
        ("health", health),
    ];
    let known =
        stages.iter().filter_map(|(name, took)| Some(format!("{name} {}", brief((*took)?))));
    let known: Vec<_> = known.collect();
    if !known.is_empty() {
        lines.push(format!("  stages     {}", known.join(", ")));
    }
    for (heading, rows) in [("actions", &row.actions), ("output", &row.log)] {
        let indented = rows.iter().map(|row| format!("    {row}"));
        if !rows.is_empty() {
            lines.push(format!("  {heading}"));
            lines.extend(indented);
        }
    }
    lines.iter().map(|text| format!("{}\n", line(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_reconciler::operation::{OperationReason, OperationState};

    #[test]
    fn an_operation_is_told_from_its_trigger_to_its_end() {
        let row = HistoryRow {
            number: 12,
            stack: "shop".into(),
            revision: "3f9c2a1b5d7e9f".into(),
            trigger: "revision 3f9c2a1b5d7e of source home, webhook".into(),
            author: "Ann <ann@example.org>".into(),
            subject: "Newer web".into(),
            state: OperationState::Failed,
            reason: "web.1 exited (1) 3 times".into(),
            why: OperationReason::default(),
            at: "1970-01-01T00:00:00Z".into(),
            until: "1970-01-01T00:00:07.25Z".into(),
            times: 1,
            actions: vec!["web.1 replace: image was web:1, is web:2".into()],
            done: vec![],
            stages: Stages {
                fetch: Some(84),
                load: Some(3),
                plan: Some(0),
                pull: Some(1_200),
                start: Some(300),
                health: None,
            },
            log: vec!["boom".into()],
        };
        let text = format!("{}{}", table(std::slice::from_ref(&row), 60_000), whole(&row, 60_000));
        insta::assert_snapshot!(text, @r"
        NUMBER   STACK   REVISION       BEGAN                TOOK   OUTCOME   TRIGGER                                         REASON
        12       shop    3f9c2a1b5d7e   About a minute ago   7.2s   failed    revision 3f9c2a1b5d7e of source home, webhook   web.1 exited (1) 3 times
        12 of shop, About a minute ago
          revision   3f9c2a1b5d7e9f by Ann <ann@example.org>: Newer web
          trigger    revision 3f9c2a1b5d7e of source home, webhook
          outcome    failed: web.1 exited (1) 3 times
          stages     fetch 84ms, load 3ms, plan 0ms, pull 1.2s, start 300ms
          actions
            web.1 replace: image was web:1, is web:2
          output
            boom
        ");
    }
}
