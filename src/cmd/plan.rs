//! `keel plan`: what a pass would do now, and why.

use crate::args::{Files, Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::load;
use crate::preview::{self, Wish};
use crate::show::{are_several, json, problem};
use crate::subject::{self, Subject};
use keel_api::Client;
use keel_engine::short;
use keel_plain::line;
use keel_reconciler::ask::{PlanReport, PlanTarget, StackPlan, VerdictRow};
use keel_reconciler::preview::StackChange;

/// The arguments of `keel plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel plan stacks/shop\n  keel plan -f compose.yaml -f compose.prod.yaml\n  keel plan shop --revision v1.4\n\nIn the work tree of a source, the plan is a preview: what a push of the tree would do, with everything in it that Git does not ignore, committed or not.\n\nExit code 2 means that something would be done."
)]
pub struct Args {
    /// Files (anything with a `/` or `.`) or a stack's name; the current folder unless given
    #[arg(value_name = "PATH|STACK")]
    subject: Option<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    wish: Wish,
    #[command(flatten)]
    listing: Listing,
}

/// Runs `keel plan`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let subject = Subject::of(args.subject.as_deref(), args.files, context)?;
    let connection = connect(context, Need::Read, "keel plan").await?;
    let planned = planned(context, &connection.client, &subject, &args.wish).await;
    connection.close().await;
    let (report, errors) = planned?;
    match args.listing.format {
        Format::Json => context.screen.data(&json::render(&report))?,
        Format::Table => context.screen.data(&text(&report))?,
    }
    problem::tell(&context.screen, &errors, &[]);
    let acts =
        report.stacks.iter().flat_map(|stack| &stack.verdicts).any(|row| row.action.is_some());
    Ok(match (errors.is_empty(), acts) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Differences,
        (true, false) => Exit::Done,
    })
}

/// The plan, and why a push would have stacks refused.
async fn planned(
    context: &Context,
    client: &Client,
    subject: &Subject,
    wish: &Wish,
) -> Result<(PlanReport, Vec<String>)> {
    let previews = match subject {
        Subject::Files(asked) => preview::of_path(context, client, asked, wish).await?,
        Subject::Stack(name) if wish.is_firm() => preview::of_stack(client, name, wish).await?,
        Subject::Stack(_) => vec![],
    };
    if !previews.is_empty() {
        return Ok(preview::report(previews));
    }
    let targets = match subject {
        Subject::Stack(name) => vec![PlanTarget::Stack(name.clone())],
        Subject::Files(asked) => {
            let stacks = load::many(context, asked)?;
            stacks.into_iter().map(|one| PlanTarget::Submitted(Box::new(one))).collect()
        }
    };
    subject::known(client, subject).await?;
    let report = client.plan(&targets).await?;
    let mut verdicts = report.stacks.iter().flat_map(|stack| &stack.verdicts);
    let is_anothers = verdicts.any(VerdictRow::is_owned_by_others);
    if is_anothers && matches!(subject, Subject::Files(_)) && !client.info().await?.serve {
        context.screen.say("only a running `keel serve` knows what a push of it would do");
    }
    Ok((report, vec![]))
}

fn text(report: &PlanReport) -> String {
    let mut text = String::new();
    for note in report.previews.iter().flat_map(|row| &row.lines) {
        text.push_str(&format!("{}\n", line(note)));
    }
    for stack in &report.stacks {
        text.push_str(&heading(stack));
        for scaled in &stack.scaled {
            text.push_str(&format!("  {}\n", line(scaled)));
        }
        let several = are_several(stack.verdicts.iter().map(|row| row.node.as_str()));
        let width = stack.verdicts.iter().map(|row| subject(row, several).chars().count()).max();
        for row in &stack.verdicts {
            let (subject, width) = (subject(row, several), width.unwrap_or(0));
            text.push_str(&format!("  {subject:width$}  {}\n", line(&row.text)));
        }
        for note in &stack.notes {
            text.push_str(&format!("  note: {}\n", line(note)));
        }
    }
    text
}

fn heading(stack: &StackPlan) -> String {
    let at = match short(&stack.revision) {
        "" => String::new(),
        revision => format!(" at {revision}"),
    };
    let change = match stack.change {
        Some(StackChange::Added) => " (new)",
        Some(StackChange::Removed) => " (no longer in the source)",
        Some(StackChange::Kept) | None => "",
    };
    format!("{}{at}{change}\n", stack.stack)
}

/// `web.1`, or `web.1 on b` where a stack is on several nodes.
fn subject(row: &VerdictRow, several: bool) -> String {
    let subject = row.slot.as_deref().or(row.resource.as_deref()).unwrap_or("stack");
    match several && !row.node.is_empty() {
        true => format!("{subject} on {}", row.node),
        false => subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_like_a_list() {
        let row = |slot: Option<&str>, resource: Option<&str>, text: &str| VerdictRow {
            slot: slot.map(str::to_owned),
            resource: resource.map(str::to_owned),
            node: "here".to_owned(),
            action: None,
            hold: None,
            reason: serde_json::Value::Null,
            text: text.to_owned(),
        };
        let verdicts = vec![
            row(None, Some("network hello_default"), "create: it does not exist"),
            row(Some("web.1"), None, "start: not running"),
        ];
        let notes = vec!["ports of web are published on node here only".to_owned()];
        let stack = StackPlan {
            stack: "hello".into(),
            revision: "3f9c2a1".into(),
            change: None,
            scaled: vec![],
            verdicts,
            notes,
        };
        insta::assert_snapshot!(text(&PlanReport { version: 1, stacks: vec![stack], previews: vec![] }), @r"
        hello at 3f9c2a1
          network hello_default  create: it does not exist
          web.1                  start: not running
          note: ports of web are published on node here only
        ");
    }
}
