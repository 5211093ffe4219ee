//! What every command takes, and the shapes that several commands share. Nothing is done here.

use crate::env;
use clap::{Args, Parser, ValueEnum};
use keel_engine::{NameError, StackName};
use std::path::PathBuf;

/// Keeps hosts what your Git repo says.
#[derive(Debug, Parser)]
#[command(
    name = "keel",
    version,
    about = "Keeps hosts what your Git repo says: Compose stacks, with an engine of its own",
    after_help = "Every command has an example in its `--help`.",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// Which.
    #[command(subcommand)]
    pub command: crate::cmd::Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where everything is kept
    #[arg(
        long,
        env = env::ROOT,
        value_name = "DIR",
        default_value = keel_embedded::layout::DEFAULT_ROOT,
        global = true,
        help_heading = "Everywhere"
    )]
    pub root: PathBuf,
    /// The configuration [default: /etc/keel/keel.yaml, where there is one]
    #[arg(long, env = env::CONFIG, value_name = "FILE", global = true, help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// Say nothing but errors and what was asked for
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
}

/// How a listing is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// For programs
    Json,
}

/// The option of every listing.
#[derive(Debug, Clone, Args)]
pub struct Listing {
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// Which files make a stack, as docker compose asks for them.
#[derive(Debug, Clone, Default, Args)]
pub struct Files {
    /// A Compose file; several are merged in their order, and make one stack
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A profile that is on; `*` is all of them
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Variables to read in place of `.env`
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<PathBuf>,
}

/// A stack's name, as an argument.
pub fn stack(text: &str) -> Result<StackName, NameError> {
    StackName::new(text)
}

/// `KEY=VALUE`, as an argument; without `=` the value is empty.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err("it must be KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}
