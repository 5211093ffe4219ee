//! Shells that can be taught to complete `keel`.

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use std::io;

/// The variable by which a shell asks, with the shell's name as its value.
pub const ASKED: &str = "KEEL_COMPLETE";

/// A shell that can be taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// Bash 4 or newer
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// What teaches a shell to ask. `program` is how this one was called.
pub fn script(shell: Shell, program: &str) -> io::Result<String> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let program = match program.contains('/') {
        true => std::path::absolute(program)?.display().to_string(),
        false => program.to_owned(),
    };
    let mut script = Vec::new();
    completer.write_registration(ASKED, "keel", "keel", &program, &mut script)?;
    Ok(String::from_utf8_lossy(&script).trim_start().to_owned())
}
