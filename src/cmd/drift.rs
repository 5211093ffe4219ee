//! `keel drift`: what differs from what was applied, where, and since when.

use crate::args::{Format, Listing};
use crate::connect::{Need, connect};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{are_several, json};
use keel_engine::StackName;
use keel_plain::line;
use keel_reconciler::ask::{DriftReport, FindingRow};

/// The arguments of `keel drift`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel drift shop\n\nExit code 2 means that something differs.")]
pub struct Args {
    #[command(flatten)]
    listing: Listing,
    /// A stack; everything unless given
    #[arg(value_name = "STACK", value_parser = crate::args::stack)]
    stack: Option<StackName>,
}

/// Runs `keel drift`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let connection = connect(context, Need::Read, "keel drift").await?;
    let report = connection.client.drift(args.stack).await?;
    connection.close().await;
    match args.listing.format {
        Format::Json => context.screen.data(&json::render(&report))?,
        Format::Table if report.findings.is_empty() => {
            context.screen.data(&format!("{}no drift", scaled(&report)))?;
        }
        Format::Table => context.screen.data(&format!("{}{}", scaled(&report), text(&report)))?,
    }
    let open = report.findings.iter().any(|finding| !finding.fixed);
    Ok(if open { Exit::Differences } else { Exit::Done })
}

/// What differs from the source because a person said so is no drift, but worth knowing.
fn scaled(report: &DriftReport) -> String {
    report.scaled.iter().map(|text| format!("{}\n", line(text))).collect()
}

fn text(report: &DriftReport) -> String {
    let several = are_several(report.findings.iter().map(|finding| finding.node.as_str()));
    let told = |finding| paragraph(finding, several);
    report.findings.iter().map(told).collect::<Vec<_>>().join("\n")
}

fn paragraph(finding: &FindingRow, several: bool) -> String {
    let subject = [finding.task.as_str(), &finding.service, &finding.stack]
        .into_iter()
        .find(|name| !name.is_empty());
    let subject = subject.map_or(format!("node {}", finding.node), str::to_owned);
    let fixed = if finding.fixed { " (fixed)" } else { "" };
    let at = finding.at.as_ref().map(|at| format!("   {at}")).unwrap_or_default();
    let mut lines = vec![
        format!("{subject}: {}{fixed}", finding.field),
        format!("  desired    {}{at}", finding.desired),
        format!("  applied    {}", finding.applied),
        format!("  observed   {}", finding.observed),
        format!("  since      {}", finding.first_seen),
    ];
    lines.extend(finding.cause.iter().map(|cause| format!("  cause      {cause}")));
    if several {
        lines.push(format!("  node       {}", finding.node));
    }
    lines.push(format!("  policy     {}", finding.policy));
    lines.iter().map(|text| format!("{}\n", line(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::Value;
    use keel_plan::desired::Origin;

    #[test]
    fn a_finding_says_all_three_values() {
        let finding = FindingRow {
            id: "1".into(),
            stack: "shop".into(),
            service: "web".into(),
            task: "shop-web-1".into(),
            node: "here".into(),
            level: "task".into(),
            field: "mem_limit".into(),
            desired: Value::Bytes(64 << 20),
            at: Some(Origin {
                file: "compose.yaml".into(),
                line: 12,
                column: 7,
                len: 3,
                text: String::new(),
            }),
            applied: Value::Bytes(64 << 20),
            observed: Value::Bytes(32 << 20),
            first_seen: "2026-01-01T00:00:00Z".into(),
            cause: None,
            policy: "heal".into(),
            fixed: false,
        };
        let report =
            DriftReport { version: 1, at: String::new(), scaled: vec![], findings: vec![finding] };
        insta::assert_snapshot!(text(&report), @r"
        shop-web-1: mem_limit
          desired    64MiB   compose.yaml:12:7
          applied    64MiB
          observed   32MiB
          since      2026-01-01T00:00:00Z
          policy     heal
        ");
    }
}
