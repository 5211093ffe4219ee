//! How commands are written that a person is to paste. All but [`Caller::own`] and [`program`] is pure.

use super::places::Trial;
use keel_embedded::layout::DEFAULT_ROOT;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// How this program was called, and so is to be called again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `keel`, or its path.
    program: String,
    /// By somebody who is not root.
    sudo: bool,
}

/// This program's file; another version may have been put in its place meanwhile, which is the one to be called.
pub fn program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?.display().to_string();
    Ok(program.trim_end_matches(" (deleted)").into())
}

impl Caller {
    /// This process's.
    pub fn own() -> Self {
        let called = std::env::args_os().next().unwrap_or_default();
        let program = program().unwrap_or_else(|_| "keel".into());
        Self::of(called, &program, std::env::var_os("SUDO_UID").is_some())
    }

    /// Somebody who called this program by these words.
    pub fn of(called: OsString, program: &Path, sudo: bool) -> Self {
        let by_path = called.to_string_lossy().contains('/');
        let program = if by_path { quoted(program) } else { "keel".to_owned() };
        Self { program, sudo }
    }

    /// A command of the controller.
    pub fn ask(&self, trial: &Trial, controller: &str, words: &str) -> String {
        let root = quoted(trial.node(controller).root());
        self.as_root(&format!("{} --root {root} {words}", self.program))
    }

    /// A command on the pool itself.
    pub fn pool(&self, trial: &Trial, words: &str) -> String {
        let root = match trial.root() == Path::new(DEFAULT_ROOT) {
            true => String::new(),
            false => format!(" --root {}", quoted(trial.root())),
        };
        self.as_root(&format!("{}{root} pool try {words}", self.program))
    }

    /// A command that needs root.
    pub fn as_root(&self, command: &str) -> String {
        if self.sudo { format!("sudo {command}") } else { command.to_owned() }
    }
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), |quoted| quoted.into_owned())
}
