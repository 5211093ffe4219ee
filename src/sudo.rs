//! Not root: offers to start the same command again through sudo.

use crate::context::Context;
use crate::failure::Failure;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Whether this process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Asks on a terminal; returns only if that came to nothing.
pub fn offer(context: &Context, why: &str) -> Failure {
    let advice = "run it with sudo, or as root";
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Failure::new(why).hint(advice);
    }
    context.screen.ask(&format!("{why}. Run it again with sudo? [Y/n] "));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    let agreed = matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes");
    if !matches!(read, Ok(1..)) || !agreed {
        return Failure::new(why).hint(advice);
    }
    match std::env::current_exe() {
        // The environment comes along: stacks interpolate it, and KEEL_ROOT is in it.
        Ok(program) => {
            let mut sudo = Command::new("sudo");
            sudo.arg("--preserve-env").arg("--").arg(program).args(std::env::args_os().skip(1));
            Failure::caused("cannot run sudo", &sudo.exec()).hint(advice)
        }
        Err(error) => Failure::caused("cannot find this program", &error).hint(advice),
    }
}
