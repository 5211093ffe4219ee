//! Which files make a stack, as docker compose asks for them: before the command or behind it.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// What they are listed under.
const HEADING: &str = "Files";

/// The options of every command that reads Compose files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Files {
    /// A Compose file; several are merged in their order, and make one stack; `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HEADING)]
    pub files: Vec<PathBuf>,
    /// The stack's name, in place of the one that its files give it
    #[arg(short = 'p', long, value_name = "NAME", help_heading = HEADING)]
    pub project_name: Option<String>,
    /// A profile that is on; `*` is all of them
    #[arg(long = "profile", value_name = "NAME", help_heading = HEADING)]
    pub profiles: Vec<String>,
    /// Variables to read in place of `.env`
    #[arg(long = "env-file", value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = HEADING)]
    pub env_files: Vec<PathBuf>,
    /// Where relative paths begin [default: the folder of the first file]
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
