//! How a model is printed.

use clap::ValueEnum;

/// How a model is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// As a Compose file
    #[default]
    Yaml,
    /// For programs
    Json,
}
