//! Which files make a stack, as docker compose asks for them: before the command or behind it.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// What they are listed under.
const HEADING: &str = "Files";

/// The options of every command that reads Compose files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Files {
    /// Compose file; several are merged in order into one stack, `-` reads standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HEADING)]
    pub files: Vec<PathBuf>,
    /// Name of the stack, instead of the one in its files
    #[arg(short = 'p', long, value_name = "NAME", help_heading = HEADING)]
    pub project_name: Option<String>,
    /// Enable a profile; `*` enables all
    #[arg(long = "profile", value_name = "NAME", help_heading = HEADING)]
    pub profiles: Vec<String>,
    /// Read variables from this file instead of `.env`
    #[arg(long = "env-file", value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HEADING)]
    pub env_files: Vec<PathBuf>,
    /// Base of relative paths [default: the folder of the first file]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = HEADING)]
    pub project_directory: Option<PathBuf>,
}

impl Files {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// With what was asked for before the command; what is behind it comes later, and wins.
    pub fn after(self, outer: &Self) -> Self {
        let chain =
            |outer: &[PathBuf], own: Vec<PathBuf>| outer.iter().cloned().chain(own).collect();
        let profiles = outer.profiles.iter().cloned();
        Self {
            files: chain(&outer.files, self.files),
            project_name: self.project_name.or_else(|| outer.project_name.clone()),
            profiles: profiles.chain(self.profiles).collect(),
            env_files: chain(&outer.env_files, self.env_files),
            project_directory: self.project_directory.or_else(|| outer.project_directory.clone()),
        }
    }
}
