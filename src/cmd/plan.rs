//! `keel plan`: what a pass would do now, and why.

use crate::args::{Files, Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::load;
use crate::show::json;
use crate::target::{self, Subject};
use keel_plain::line;
use keel_reconciler::ask::{PlanReport, PlanTarget, VerdictRow};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel plan stacks/shop\n  keel plan -f compose.yaml -f compose.prod.yaml\n\nExit code 2 means that something would be done."
)]
pub struct Args {
    /// Files (anything with a `/` or `.`) or a stack's name; the current folder unless given
    #[arg(value_name = "PATH|STACK")]
    subject: Option<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    listing: Listing,
}

/// Does it.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let subject = Subject::of(args.subject.as_deref(), args.files, context)?;
    let targets = match &subject {
        Subject::Stack(name) => vec![PlanTarget::Stack(name.clone())],
        Subject::Files(asked) => {
            let stacks = load::many(context, asked)?;
            stacks.into_iter().map(|one| PlanTarget::Submitted(Box::new(one))).collect()
        }
    };
    let connection = connect(context, Need::Read, "keel plan").await?;
    target::known(&connection.client, &subject).await?;
    let report = connection.client.plan(&targets).await?;
    connection.close().await;
    match args.listing.format {
        Format::Json => context.screen.data(&json::render(&report))?,
        Format::Table => context.screen.data(&text(&report))?,
    }
    let acts =
        report.stacks.iter().flat_map(|stack| &stack.verdicts).any(|row| row.action.is_some());
    Ok(if acts { Exit::Differences } else { Exit::Done })
}

fn text(report: &PlanReport) -> String {
    let mut text = String::new();
    for stack in &report.stacks {
        text.push_str(&format!("{} at {}\n", stack.stack, stack.revision));
        let width = stack.verdicts.iter().map(|row| subject(row).chars().count()).max();
        for row in &stack.verdicts {
            let (subject, width) = (subject(row), width.unwrap_or(0));
            text.push_str(&format!("  {subject:width$}  {}\n", line(&row.text)));
        }
    }
    text
}

fn subject(row: &VerdictRow) -> &str {
    row.slot.as_deref().or(row.resource.as_deref()).unwrap_or("stack")
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_reconciler::ask::StackPlan;

    #[test]
    fn a_plan_reads_like_a_list() {
        let row = |slot: Option<&str>, resource: Option<&str>, text: &str| VerdictRow {
            slot: slot.map(str::to_owned),
            resource: resource.map(str::to_owned),
            action: None,
            hold: None,
            reason: serde_json::Value::Null,
            text: text.to_owned(),
        };
        let verdicts = vec![
            row(None, Some("network hello_default"), "create: it does not exist"),
            row(Some("web.1"), None, "start: no task runs here"),
        ];
        let stack = StackPlan { stack: "hello".into(), revision: "3f9c2a1".into(), verdicts };
        insta::assert_snapshot!(text(&PlanReport { version: 1, stacks: vec![stack] }), @r"
        hello at 3f9c2a1
          network hello_default  create: it does not exist
          web.1                  start: no task runs here
        ");
    }
}
