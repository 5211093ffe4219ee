//! `keel render`: a stack's resolved model.

mod diff;
mod format;

use crate::args::Files;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::load::{self, Asked};
use crate::preview::Wish;
use crate::show::{json, problem};
use crate::subject;
use format::Format;
use keel_spec::{Document, problem as problems};
use std::path::PathBuf;

/// The arguments of `keel render`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel render blog/\n  keel render -f compose.yaml -f compose.prod.yaml --origins\n  keel render --hash blog/\n  keel render --diff blog/\n\nRendering what was rendered gives the same text. Exit code 2 of --diff means that something differs; it reads the records of the root, so it needs root or a running `keel serve`. In the work tree of a source it shows what a push of the tree would change."
)]
pub struct Args {
    /// A Compose file, or the folder that holds it; the current folder unless given
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Show where each value was written
    #[arg(long, conflicts_with = "hash")]
    origins: bool,
    /// Print a digest of each service instead
    #[arg(long)]
    hash: bool,
    /// Print the difference from what the stack was last asked to be, as a unified diff
    #[arg(long, conflicts_with_all = ["hash", "origins"])]
    diff: bool,
    #[command(flatten)]
    wish: Wish,
}

/// Runs `keel render`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    let files = args.files.clone().after(&context.files);
    let asked = asked(args.path.clone(), files)?;
    match args.diff {
        true => diff::run(&asked, args.format, &args.wish, context).await,
        false if args.wish.is_firm() => {
            Err(Failure::usage("`--revision` and `--source` are for `--diff`"))
        }
        false => model(&asked, &args, context),
    }
}

fn asked(path: Option<PathBuf>, files: Files) -> Result<Asked> {
    match path {
        Some(path) if !files.files.is_empty() => {
            Err(subject::named_twice(&path.display().to_string()))
        }
        path => Ok(Asked { path: path.unwrap_or_else(|| ".".into()), files }),
    }
}

fn model(asked: &Asked, args: &Args, context: &Context) -> Result<Exit> {
    let mut found = load::found(asked)?;
    let (Some(found), true) = (found.pop(), found.is_empty()) else { return Err(asked.several()) };
    let rendered = load::rendered(context, &found, &asked.files);
    let loaded = &rendered.loaded;
    // Warnings are `check`'s to tell: who renders wants the model.
    let errors = loaded.problems.iter().filter(|problem| problem.is_error());
    let errors: Vec<_> = errors.map(|found| problems::render(found, &loaded.texts)).collect();
    let Some(document) = &rendered.document else {
        problem::tell(&context.screen, &errors, &[]);
        return Ok(Exit::Failed);
    };
    context.screen.data(&text(document, args))?;
    Ok(Exit::Done)
}

fn text(document: &Document, args: &Args) -> String {
    match args.format {
        Format::Json if args.hash => json::render(&document.hashes()),
        Format::Json if args.origins => json::render(&document.origins()),
        Format::Json => json::render(&document.sections()),
        Format::Yaml if args.hash => {
            let hashes = document.hashes();
            hashes.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect()
        }
        Format::Yaml if args.origins => document.yaml_with_origins(),
        Format::Yaml => document.yaml(),
    }
}
