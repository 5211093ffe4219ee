//! `keel render`: a stack's resolved model.

use crate::args::Files;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::load;
use crate::show::{json, problem};
use clap::ValueEnum;
use keel_reconciler::find::Found;
use keel_spec::{Document, Project, problem as problems};
use std::path::PathBuf;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel render blog/\n  keel render -f compose.yaml -f compose.prod.yaml --origins\n  keel render --hash blog/\n\nRendering what was rendered gives the same text."
)]
pub struct Args {
    /// A Compose file, or the folder that holds it
    #[arg(default_value = ".", value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    files: Files,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Say of each value where it was written
    #[arg(long, conflicts_with = "hash")]
    origins: bool,
    /// Print a digest of each service instead
    #[arg(long)]
    hash: bool,
}

/// How a model is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// As a Compose file
    #[default]
    Yaml,
    /// For programs
    Json,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let mut found = load::found(&args.path, &args.files)?;
    let (Some(found), true) = (found.pop(), found.is_empty()) else {
        let message = format!("`{}` holds several stacks", args.path.display());
        return Err(Failure::usage(message).hint("name the folder of one of them"));
    };
    let rendered = keel_spec::render(&project(&found, &args.files), &keel_spec::Folder::default());
    let loaded = &rendered.loaded;
    // Warnings are `check`'s to tell: who renders wants the model.
    let errors = loaded.problems.iter().filter(|problem| problem.is_error());
    let errors: Vec<_> = errors.map(|found| problems::render(found, &loaded.texts)).collect();
    let Some(document) = &rendered.document else {
        problem::tell(&context.screen, &errors, &[]);
        return Ok(Exit::Failed);
    };
    context.screen.data(&text(document, &args))?;
    Ok(Exit::Done)
}

fn project(found: &Found, files: &Files) -> Project {
    Project {
        dir: found.dir.clone(),
        files: found.file.iter().filter(|_| files.files.len() < 2).cloned().collect(),
        shown: found.shown.clone(),
        environment: load::variables(files),
        profiles: files.profiles.clone(),
        ..Project::default()
    }
}

fn text(document: &Document, args: &Args) -> String {
    match args.format {
        Format::Json if args.hash => json::render(&document.hashes()),
        Format::Json if args.origins => json::render(&document.origins()),
        Format::Json => json::render(&document.json()),
        Format::Yaml if args.hash => {
            let hashes = document.hashes();
            hashes.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect()
        }
        Format::Yaml if args.origins => document.yaml_with_origins(),
        Format::Yaml => document.yaml(),
    }
}
