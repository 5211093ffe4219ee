//! `keel status`: sync, health and last operation of each stack, and how the sources are.

use crate::args::{Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{Table, ago, json};
use keel_api::Client;
use keel_engine::StackName;
use keel_plan::status::{Health, Note, Sync};
use keel_reconciler::ask::{OperationRow, SourceRow, StatusRow};
use keel_reconciler::operation::OperationState;
use keel_reconciler::rows::{DeliveryRow, TroubleRow};

/// The arguments of `keel status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel status\n  keel status --exit-code shop && echo all is well"
)]
pub struct Args {
    /// Exit with 1 unless everything is in sync and healthy
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    listing: Listing,
    /// Stacks; all unless given
    #[arg(value_name = "STACK", value_parser = crate::args::stack)]
    stacks: Vec<StackName>,
}

/// Runs `keel status`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel status").await?;
    let told = told(&connection.client, &args).await;
    connection.close().await;
    let told = told?;
    let deliveries = told.deliveries.iter().map(|row| undelivered(row, ago::now()));
    match args.listing.format {
        Format::Json => {
            context.screen.data(&json::render(&told.rows))?;
            deliveries.for_each(|line| context.screen.warn(&line));
        }
        Format::Table => {
            let deliveries: Vec<_> = deliveries.map(|line| format!("warning: {line}")).collect();
            let about = about_all(&told, &args.stacks, ago::now());
            let lines: Vec<_> =
                about.iter().chain(&deliveries).map(|line| format!("{line}\n")).collect();
            context.screen.data(&(table(&told.rows, ago::now()) + &lines.concat()))?;
        }
    }
    let well =
        told.rows.iter().all(|row| row.sync == Sync::InSync && row.health == Health::Healthy);
    Ok(if args.exit_code && !well { Exit::Failed } else { Exit::Done })
}

/// What was answered.
struct Told {
    rows: Vec<StatusRow>,
    sources: Vec<SourceRow>,
    deliveries: Vec<DeliveryRow>,
    /// Somebody reconciles.
    serves: bool,
}

async fn told(client: &Client, args: &Args) -> Result<Told> {
    let rows = client.status(args.stacks.clone()).await?;
    let sources = client.sources().await?;
    // An older daemon knows none.
    let deliveries = client.deliveries().await.unwrap_or_default();
    Ok(Told { rows, sources, deliveries, serves: client.info().await?.serve })
}

/// What is to be said beside the table. It is part of the answer: whoever keeps that has it, too.
fn about_all(told: &Told, asked: &[StackName], now: u64) -> Vec<String> {
    let mut lines: Vec<_> = told.rows.iter().flat_map(|row| notes(row, now)).collect();
    let concerned = |source: &&SourceRow| asked.is_empty() || is_of(&told.rows, source);
    lines.extend(told.sources.iter().filter(concerned).flat_map(source_notes));
    lines.extend(told.rows.iter().flat_map(|row| warnings(row, !asked.is_empty())));
    if !told.serves {
        lines.push(
            "`keel serve` is not running: what runs goes on, and nothing is reconciled".into(),
        );
    }
    lines
}

fn table(rows: &[StatusRow], now: u64) -> String {
    let mut table =
        Table::new(["STACK", "SOURCE", "REVISION", "SYNC", "HEALTH", "OPERATION", "SINCE"]);
    for row in rows {
        table.row([
            row.stack.clone(),
            row.source.clone(),
            keel_engine::short(&row.revision).to_owned(),
            row.sync.to_string(),
            row.health.to_string(),
            row.operation.state.map(OperationState::word).unwrap_or_default().to_owned(),
            match row.operation.at.as_str() {
                "" => String::new(),
                at => ago::ago(at, now),
            },
        ]);
    }
    table.render()
}

/// What a tired person needs beside the table.
fn notes(row: &StatusRow, now: u64) -> Vec<String> {
    let stack = &row.stack;
    // A suspension is told below, with its remedy.
    let notes = row.notes_with_data();
    let notes = notes.filter(|(_, note)| !matches!(note, Some(Note::Suspended { .. })));
    let mut lines: Vec<_> = notes.map(|(words, _)| format!("{stack}: {words}")).collect();
    let OperationRow { state, reason, why, .. } = &row.operation;
    let said = row.noted.iter().any(|note| why.is_told_by(note) || why.tells(note));
    let state = state.filter(|state| match state {
        OperationState::Failed => true,
        OperationState::Held => row.suspended.is_none(),
        OperationState::Running | OperationState::Succeeded => false,
    });
    if let Some(state) = state.filter(|_| !said) {
        lines.push(format!("{stack}: {state}: {reason}"));
    }
    lines.extend(row.trouble.iter().flat_map(|trouble| about(trouble, now)));
    if let Some(suspended) = &row.suspended {
        lines.push(format!("{stack}: suspended {suspended}; `keel resume {stack}` ends that"));
    }
    if row.drift > 0 {
        lines.push(format!("{stack}: {} drifted; `keel drift {stack}` says what", row.drift));
    }
    lines
}

/// Since when and by whom, what was tried, what to do.
fn about(trouble: &TroubleRow, now: u64) -> Vec<String> {
    let mut whose = vec![format!("since {}", ago::ago(&trouble.since, now))];
    if !trouble.revision.is_empty() {
        whose.push(format!("revision {}", keel_engine::short(&trouble.revision)));
    }
    if !trouble.author.is_empty() {
        whose.push(format!("by {}: {}", trouble.author, trouble.subject));
    }
    let commands: Vec<_> = trouble.commands.iter().map(|command| format!("`{command}`")).collect();
    let lines = [Some(whose.join(", ")), trouble.tried.clone(), Some(commands.join(", "))];
    lines.into_iter().flatten().map(|line| format!("  {line}")).collect()
}

/// How many warnings there are of its files; of a stack that was asked for, all of them.
fn warnings(row: &StatusRow, asked_for: bool) -> Vec<String> {
    let stack = &row.stack;
    match row.warnings.len() {
        0 => vec![],
        _ if asked_for => {
            row.warnings.iter().map(|warning| format!("\n{}", warning.text.trim_end())).collect()
        }
        1 => vec![format!("{stack}: 1 warning; `keel status {stack}` shows it")],
        several => vec![format!("{stack}: {several} warnings; `keel status {stack}` shows them")],
    }
}

/// Who asks for stacks is told of their sources alone.
fn is_of(rows: &[StatusRow], source: &SourceRow) -> bool {
    rows.iter().any(|row| row.source == source.name)
}

/// Who does not hear of it.
fn undelivered(row: &DeliveryRow, now: u64) -> String {
    let since = row.failing.as_ref().map(|since| format!(", first {}", ago::ago(since, now)));
    let mut counts = Vec::new();
    if row.waiting > 0 {
        counts.push(format!("{} waiting", row.waiting));
    }
    if row.lost > 0 {
        counts.push(format!("{} given up", row.lost));
    }
    let counts =
        if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    format!("{} is unreachable{}: {}{counts}", row.name, since.unwrap_or_default(), row.why)
}

fn source_notes(source: &SourceRow) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(held) = &source.held {
        lines.push(format!("source {}: {held}", source.name));
    }
    lines.extend(source.problems.iter().map(|problem| format!("\n{}", problem.trim_end())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_reconciler::advice::Advice;
    use keel_reconciler::ask::WarningRow;
    use keel_reconciler::operation::OperationReason;

    fn row() -> StatusRow {
        StatusRow {
            stack: "shop".into(),
            source: "home".into(),
            revision: "3f9c2a1b5d7e9f".into(),
            sync: Sync::OutOfSync,
            health: Health::Degraded,
            operation: OperationRow {
                state: Some(OperationState::Failed),
                reason: "web.1 exited (1) 3 times".into(),
                why: OperationReason::Other("web.1 exited (1) 3 times".into()),
                at: "1970-01-01T00:00:00Z".into(),
            },
            notes: vec![],
            noted: vec![],
            taken_from: None,
            suspended: Some("by ann@shop".into()),
            drift: 1,
            warnings: vec![warning()],
            services: [("web".to_owned(), (0, 1))].into(),
            trouble: Some(TroubleRow {
                since: "1970-01-01T00:00:00Z".into(),
                revision: "3f9c2a1b5d7e9f".into(),
                author: "Ann <ann@example.org>".into(),
                subject: "Faster start".into(),
                tried: Some("revision 1b5d7e9f3f9c runs instead".into()),
                commands: vec!["keel history show 7".into(), "keel sync shop --retry".into()],
                advice: vec![
                    Advice::ShowHistory { number: 7 },
                    Advice::Retry { stack: "shop".into() },
                ],
            }),
        }
    }

    fn warning() -> WarningRow {
        WarningRow {
            at: "compose.yaml:3:12".into(),
            message: "the tag `latest` moves".into(),
            code: "W0301".into(),
            text: "warning: the tag `latest` moves [W0301]\n  --> compose.yaml:3:12\n".into(),
        }
    }

    #[test]
    fn warnings_are_counted_and_shown_to_whoever_asks_for_the_stack() {
        assert_eq!(warnings(&row(), false), ["shop: 1 warning; `keel status shop` shows it"]);
        assert_eq!(warnings(&row(), true), [format!("\n{}", warning().text.trim_end())]);
        let several = StatusRow { warnings: vec![warning(), warning()], ..row() };
        assert_eq!(warnings(&several, false), ["shop: 2 warnings; `keel status shop` shows them"]);
        assert!(warnings(&StatusRow { warnings: vec![], ..row() }, true).is_empty());
    }

    #[test]
    fn who_asks_for_a_stack_is_told_of_its_source() {
        let source = |name: &str| SourceRow { name: name.into(), ..SourceRow::default() };
        assert!(is_of(&[row()], &source("home")) && !is_of(&[row()], &source("lab")));
    }

    #[test]
    fn whoever_is_not_reached_is_named() {
        let row = DeliveryRow {
            name: "ntfy ntfy.example.org 3f9c2a".into(),
            failing: Some("1970-01-01T00:00:00Z".into()),
            why: "cannot be reached: connection refused".into(),
            waiting: 2,
            lost: 1,
        };
        assert_eq!(
            undelivered(&row, 60_000),
            "ntfy ntfy.example.org 3f9c2a is unreachable, first About a minute ago: cannot be \
             reached: connection refused (2 waiting, 1 given up)"
        );
        let refused = DeliveryRow { failing: None, waiting: 0, why: "answered 401".into(), ..row };
        assert_eq!(
            undelivered(&refused, 60_000),
            "ntfy ntfy.example.org 3f9c2a is unreachable: answered 401 (1 given up)"
        );
    }

    #[test]
    fn a_status_says_what_is_wrong_and_what_to_do() {
        let text = format!("{}{}", table(&[row()], 60_000), notes(&row(), 60_000).join("\n"));
        insta::assert_snapshot!(text, @r"
        STACK   SOURCE   REVISION       SYNC        HEALTH     OPERATION   SINCE
        shop    home     3f9c2a1b5d7e   OutOfSync   Degraded   failed      About a minute ago
        shop: failed: web.1 exited (1) 3 times
          since About a minute ago, revision 3f9c2a1b5d7e, by Ann <ann@example.org>: Faster start
          revision 1b5d7e9f3f9c runs instead
          `keel history show 7`, `keel sync shop --retry`
        shop: suspended by ann@shop; `keel resume shop` ends that
        shop: 1 drifted; `keel drift shop` says what
        ");
    }
}
