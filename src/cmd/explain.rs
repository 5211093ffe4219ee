//! `keel explain`: what a problem's code means, and what to do.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use keel_spec::Code;

/// The arguments of `keel explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  keel explain E0401\n  keel explain            # all codes")]
pub struct Args {
    /// The code; without one, all are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Runs `keel explain`.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let text = match args.code {
        None => Code::ALL.iter().map(|code| format!("{code}  {}\n", code.title())).collect(),
        Some(text) => explained(&text)?,
    };
    context.screen.data(&text)?;
    Ok(Exit::Done)
}

fn explained(text: &str) -> Result<String> {
    let named = || Code::ALL.iter().copied().find(|code| code.name() == text);
    let Some(code) = Code::of(text).or_else(named) else {
        let failure = Failure::usage(format!("there is no code `{text}`"));
        return Err(failure.hint("`keel explain` lists them all"));
    };
    Ok(format!("{code} {}: {}\n\n{}\n", code.name(), code.title(), code.explanation()))
}
