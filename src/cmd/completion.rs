//! `keel completion`: what teaches a shell to complete `keel`.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::shells::{Shell, script};

/// The arguments of `keel completion`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keel completion bash > /etc/bash_completion.d/keel\n  keel completion fish > ~/.config/fish/completions/keel.fish\n  echo 'source <(keel completion zsh)' >> ~/.zshrc\n\nIt completes commands, options, and the names of what is there: stacks, containers, images, …"
)]
pub struct Args {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Runs `keel completion`.
pub fn run(args: Args, context: &Context) -> Result<Exit> {
    let called = std::env::args().next().unwrap_or_else(|| "keel".to_owned());
    let script = script(args.shell, &called)
        .map_err(|error| Failure::caused("cannot find this program", &error))?;
    context.screen.data(&script)?;
    Ok(Exit::Done)
}
