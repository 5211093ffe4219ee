//! Tab completion: a shell calls `keel` at each TAB, and is answered with what fits there.
//!
//! # Invariants
//! - What can be completed is read off the commands themselves; names that exist are found by what
//!   an argument is called in its help, so no command knows of any of this.
//! - A TAB never asks, waits for long, or fails: where nobody answers, nothing is offered.

use crate::args::Global;
use crate::cli::Cli;
use crate::connect::{self, Connection};
use crate::context::Context;
use crate::shells::ASKED;
use clap::{Arg, Command, CommandFactory, Parser};
use clap_complete::CompleteEnv;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use keel_reconciler::rows::PsAsk;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

/// Nobody waits longer for a TAB.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers a shell that asks what fits; whether one did.
pub fn answer() -> clap::error::Result<bool> {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(command).var(ASKED).try_complete(std::env::args_os(), here.as_deref())
}

/// The commands, with names that exist where such are wanted.
fn command() -> Command {
    with_names(Cli::command())
}

fn with_names(command: Command) -> Command {
    command.mut_args(named).mut_subcommands(with_names)
}

fn named(arg: Arg) -> Arg {
    let names = arg.get_value_names().unwrap_or_default();
    // Behind it comes a command, as in `exec`.
    let first_only = names.len() > 1;
    let kind = match names.first().map(|name| name.as_str()) {
        Some("STACK") => Kind::Stack,
        Some("PATH|STACK" | "PATH|STACK|SERVICE") => Kind::PathOrStack,
        Some("TARGET" | "NAME|ID") => Kind::Target,
        Some("STACK/SERVICE=N") => Kind::Service,
        Some("IMAGE" | "IMAGE|SERVICE") => Kind::Image,
        Some("VOLUME") => Kind::Volume,
        Some("NETWORK") => Kind::Network,
        Some("SOURCE") => Kind::Source,
        Some("CODE") => Kind::Code,
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(Names { kind, first_only }))
}

/// What kind of thing an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stack,
    PathOrStack,
    Target,
    Service,
    Image,
    Volume,
    Network,
    Source,
    Code,
}

/// What completes one argument.
#[derive(Debug, Clone, Copy)]
struct Names {
    kind: Kind,
    first_only: bool,
}

impl ValueCompleter for Names {
    fn complete_at(&self, index: usize, current: &OsStr) -> Vec<CompletionCandidate> {
        if self.first_only && index > 0 { vec![] } else { self.complete(current) }
    }

    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let names = match self.kind {
            Kind::Code => keel_spec::Code::ALL.iter().map(|code| code.id().to_owned()).collect(),
            kind => asked(kind).unwrap_or_default(),
        };
        let typed = current.to_string_lossy();
        // A name that no terminal should print cannot be typed either.
        let shown = |name: &String| keel_plain::line(name) == name.as_str();
        let fitting = names.into_iter().filter(|name| name.starts_with(&*typed) && shown(name));
        let mut found: Vec<_> = fitting.map(CompletionCandidate::new).collect();
        if self.kind == Kind::PathOrStack {
            found.extend(PathCompleter::any().complete(current));
        }
        found
    }
}

/// The names that whoever answers for the root knows.
fn asked(kind: Kind) -> Option<BTreeSet<String>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().ok()?;
    let names = runtime.block_on(async {
        let asking = async {
            let context = context()?;
            let connection = connect::unasked(&context).await?;
            let names = names(kind, &connection).await;
            connection.close().await;
            names
        };
        tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
    });
    runtime.shutdown_background();
    names
}

/// The root is the environment's: the words typed so far need not make sense yet.
fn context() -> Option<Context> {
    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        global: Global,
    }
    let mut global = Alone::try_parse_from(["keel"]).ok()?.global;
    global.quiet = true;
    Some(Context::new(global, crate::args::Files::default()))
}

async fn names(kind: Kind, connection: &Connection) -> Option<BTreeSet<String>> {
    let client = &connection.client;
    Some(match kind {
        Kind::Stack | Kind::PathOrStack => {
            client.status(vec![]).await.ok()?.into_iter().map(|row| row.stack).collect()
        }
        Kind::Target => {
            let ask = PsAsk { all: true, ..PsAsk::default() };
            let rows = client.ps(&ask).await.ok()?.into_iter();
            rows.flat_map(|row| match row.stack.is_empty() {
                true => vec![row.name],
                false => {
                    vec![row.name, format!("{}/{}", row.stack, row.service), row.stack]
                }
            })
            .collect()
        }
        Kind::Service => {
            let rows = client.status(vec![]).await.ok()?.into_iter();
            let named = |(stack, service): (&String, &String)| format!("{stack}/{service}");
            rows.flat_map(|row| {
                let services = row.services.keys().map(|service| named((&row.stack, service)));
                services.collect::<Vec<_>>()
            })
            .collect()
        }
        Kind::Image => client.images().await.ok()?.into_iter().map(|row| row.reference).collect(),
        Kind::Volume => client.volumes().await.ok()?.into_iter().map(|row| row.name).collect(),
        Kind::Network => client.networks().await.ok()?.into_iter().map(|row| row.name).collect(),
        Kind::Source => client.sources().await.ok()?.into_iter().map(|row| row.name).collect(),
        Kind::Code => BTreeSet::new(),
    })
}
