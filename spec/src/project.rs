//! What to load: the folder, its files, and the environment it is read in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::permission::Permits;

/// What [`crate::load()`] is asked for. Everything that the outside decides is in here.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// The project's folder; relative paths in its files start here.
    pub dir: PathBuf,
    /// The Compose files in order, relative to `dir` or absolute. None: they are looked for in
    /// `dir`, with one override file.
    pub files: Vec<PathBuf>,
    /// What people are shown in place of `dir`, such as `stacks/blog`; empty: nothing.
    pub shown: String,
    /// The stack's name, when given from outside. It then wins over `name:`, and must be valid.
    pub name: Option<String>,
    /// Variables of whoever loads the stack; they win over `.env`.
    pub environment: BTreeMap<String, String>,
    /// Env files to read in place of `.env`, in order, later ones win.
    pub env_files: Vec<PathBuf>,
    /// Profiles that are on, beside those of `COMPOSE_PROFILES`; `*` is all.
    pub profiles: Vec<String>,
    /// What the stack may have of its host; `None`: all that Compose can ask for.
    pub permits: Option<Permits>,
}

impl Project {
    /// A project in this folder, with an empty environment.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }

    /// The same project with exactly these Compose files.
    #[must_use]
    pub fn files<P: Into<PathBuf>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.files = files.into_iter().map(Into::into).collect();
        self
    }

    /// The same project, shown to people under this path.
    #[must_use]
    pub fn shown(mut self, path: impl Into<String>) -> Self {
        self.shown = path.into();
        self
    }

    /// The same project with one more variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }
}
