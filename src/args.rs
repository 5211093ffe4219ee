//! What every command takes, and the shapes that several commands share. Nothing is done here.

mod files;

use crate::env;
use clap::{Args, ValueEnum};
use keel_engine::{NameError, StackName};
use std::path::PathBuf;

pub use files::Files;

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Directory of all state
    #[arg(
        long,
        env = env::ROOT,
        value_name = "DIR",
        default_value = keel_embedded::layout::DEFAULT_ROOT,
        global = true,
        help_heading = "Global options"
    )]
    pub root: PathBuf,
    /// Configuration file [default: /etc/keel/keel.yaml, if it exists]
    #[arg(long, env = env::CONFIG, value_name = "FILE", global = true, help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Print errors and requested output only
    #[arg(long, global = true, help_heading = "Global options")]
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
    /// Output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
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
