//! The `keel` command.
//!
//! # Invariants
//! - What runs beside containers (`shim`, `net`, …) is dispatched before anything is parsed or
//!   started, and never touches what the command line needs.
//! - Data goes to standard output, all else to standard error; every exit code is in [`exit`].
//! - Only this crate reads the environment (what `ssh` gets of it is passed on unread), and only it
//!   wires implementations together.

mod archive;
mod args;
mod cli;
mod cmd;
mod connect;
mod context;
mod deliver;
mod detaching;
mod diagnostics;
mod driver_lock;
mod early;
mod ending;
mod env;
mod exit;
mod failure;
mod follow;
mod hello;
mod load;
mod machine;
mod oneoff;
mod pool_records;
mod preview;
mod root;
mod shells;
mod show;
mod subject;
mod sudo;
mod tab;
mod talk;
mod terminal;
mod trial;
mod unknown;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::{self, Write};

fn main() -> ! {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = early::dispatch(&arguments) {
        std::process::exit(code);
    }
    match tab::answer() {
        Ok(false) => {}
        Ok(true) => std::process::exit(0),
        Err(error) => std::process::exit(refused(&error).code()),
    }
    let exit = match cli::parse() {
        Ok(cli) => command(cli),
        Err(error) => refused(&error),
    };
    // Threads that wait for a terminal's input must not hold the process.
    std::process::exit(exit.code());
}

fn refused(error: &clap::Error) -> Exit {
    if let Some(ContextValue::String(word)) = error
        .get(ContextKind::InvalidSubcommand)
        .filter(|_| error.kind() == ErrorKind::InvalidSubcommand)
    {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let failure = unknown::told(&arguments, word);
        show::Screen::new(false).failure(&failure);
        return failure.exit();
    }
    let text = error.render().to_string();
    // Somebody who closed the pipe has seen enough.
    let _ = match keel_plain::text(&text) == text {
        true => error.print(),
        // It quotes a word that is not fit to be printed.
        false => write!(io::stderr(), "{}", keel_plain::text(&text)),
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ if runs_a_container() => Exit::Container(cmd::run::OWN_FAILURE),
        _ => Exit::Usage,
    }
}

/// Whether `run` or `exec` was called: every code below 125 is the container's.
fn runs_a_container() -> bool {
    let commands = cli::Cli::command();
    let mut words = std::env::args().skip(1);
    let command = words.find(|word| commands.find_subcommand(word).is_some());
    command.is_some_and(|word| matches!(word.as_str(), "run" | "exec"))
}

/// Threads that wait for disks and servers. Each costs memory for as long as there is work, and more
/// do not make a disk faster; sources that hang hold one each.
const WAITING: usize = 64;

fn command(cli: cli::Cli) -> Exit {
    // Whoever starts it may have another one: with none, everybody could write below the root and replace
    // the API's socket; with a strict one, group keel could not reach it, nor containers their files. What
    // is secret has its own mode.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    keel_embedded::share_arenas();
    let context = Context::new(cli.global, cli.files);
    if let Err(failure) = diagnostics::start() {
        context.screen.failure(&failure);
        return failure.exit();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(WAITING)
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(cmd::run(cli.command, &context));
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::caused("cannot start", &error)),
    };
    done.unwrap_or_else(|failure| {
        context.screen.failure(&failure);
        failure.exit()
    })
}
