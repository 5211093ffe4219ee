//! `keel check`: all problems of Compose files, with the lines that they are about.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::load;
use crate::show::problem;
use keel_plan::desired::Policy;
use keel_reconciler::load::LoadedStack;
use std::path::PathBuf;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  keel check stacks/\n\nExit code 1 means errors; warnings alone are 0."
)]
pub struct Args {
    /// Compose files, or folders that hold them
    #[arg(default_value = ".", value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let mut exit = Exit::Done;
    for path in &args.paths {
        for stack in load::stacks(path, Policy::default())? {
            problem::tell(&context.screen, &stack.errors, &stack.warnings);
            if stack.lowered.is_none() {
                exit = Exit::Failed;
            }
            context.screen.say(&verdict(&stack));
        }
    }
    Ok(exit)
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
