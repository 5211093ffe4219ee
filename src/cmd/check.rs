//! `keel check`: all problems of Compose files, with the lines that they are about.

mod asked;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::show::{json, problem};
use clap::ValueEnum;
use keel_reconciler::load::LoadedStack;
use keel_reconciler::rows::{CheckReport, CheckedStack};
use keel_spec::Severity;

/// The arguments of `keel check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel check stacks/\n  keel check -f compose.yaml -f compose.prod.yaml\n  keel check --path 'stacks/*'\n  keel check --format sarif stacks/ > keel.sarif\n\nExit code 1 means errors; warnings alone are 0, unless --strict. `keel explain CODE` says more about a problem."
)]
pub struct Args {
    #[command(flatten)]
    given: asked::Given,
    /// Fail for warnings as well
    #[arg(long)]
    strict: bool,
    /// How to print the problems
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Text with the lines concerned, for people
    #[default]
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for forges and editors
    Sarif,
}

/// Runs `keel check`.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let stacks = asked::loaded(&args.given, context)?;
    match args.format {
        Format::Text => text(&stacks, context)?,
        Format::Json => context.screen.data(&json::render(&report(&stacks)))?,
        Format::Sarif => {
            let problems = stacks.iter().flat_map(|stack| &stack.problems);
            let log = keel_spec::problem::sarif(problems, env!("CARGO_PKG_VERSION"));
            context.screen.data(&json::render(&log))?;
        }
    }
    let refused = stacks.iter().any(|stack| stack.lowered.is_none());
    let warned = || {
        let mut problems = stacks.iter().flat_map(|stack| &stack.problems);
        problems.any(|problem| problem.severity == Severity::Warning)
    };
    Ok(if refused || (args.strict && warned()) { Exit::Failed } else { Exit::Done })
}

/// Each path, else the current folder; or the files that are named.
fn text(stacks: &[LoadedStack], context: &Context) -> Result<()> {
    for stack in stacks {
        problem::tell(&context.screen, &stack.errors, &stack.warnings);
        context.screen.data(&verdict(stack))?;
    }
    Ok(())
}

/// `stacks/blog: 2 errors`.
fn verdict(stack: &LoadedStack) -> String {
    let name = stack.name.as_ref().map(ToString::to_string);
    let subject = match (stack.shown.as_str(), name) {
        ("", Some(name)) => name,
        ("", None) => stack.dir.display().to_string(),
        (shown, _) => shown.to_owned(),
    };
    match problem::count(&stack.errors, &stack.warnings) {
        counted if counted.is_empty() => format!("{subject}: no problems"),
        counted => format!("{subject}: {counted}"),
    }
}

fn report(stacks: &[LoadedStack]) -> CheckReport {
    let one = |stack: &LoadedStack| CheckedStack {
        stack: stack.name.as_ref().map(ToString::to_string),
        path: stack.dir.display().to_string(),
        ok: stack.lowered.is_some(),
        problems: stack.problems.iter().map(keel_spec::problem::row).collect(),
    };
    CheckReport { version: 1, stacks: stacks.iter().map(one).collect() }
}
