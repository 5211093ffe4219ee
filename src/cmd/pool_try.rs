//! `keel pool try`: a pool on this machine.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::check_machine;
use crate::sudo;
use crate::trial::{
    Accident, Blueprint, Caller, MOST_NODES, Raised, Trial, Turn, guide, happen, plan, raise,
    take_down,
};

/// The subcommands of `keel pool`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Create a pool of several nodes on this machine, with a demo stack, to try it
    #[command(
        after_help = "Example:\n  keel pool try 3\n  keel pool try --kill node3\n  keel pool try --remove"
    )]
    Try(Args),
}

/// The arguments of `keel pool try`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many nodes [default: 3]
    #[arg(value_name = "NODES", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_NODES)))]
    nodes: Option<u8>,
    #[command(flatten)]
    instead: Instead,
}

/// What is done instead of creating it.
#[derive(Debug, clap::Args)]
#[group(multiple = false, conflicts_with = "nodes")]
pub struct Instead {
    /// Remove the pool with everything on it
    #[arg(long)]
    remove: bool,
    /// Kill everything that runs on a node, as if its power were cut
    #[arg(long, value_name = "NODE")]
    kill: Option<String>,
    /// Start a node that was killed
    #[arg(long, value_name = "NODE")]
    start: Option<String>,
    /// Unplug a node's network cable
    #[arg(long, value_name = "NODE")]
    unplug: Option<String>,
    /// Plug a node's network cable in again
    #[arg(long, value_name = "NODE")]
    plug: Option<String>,
}

impl Instead {
    fn accident(&self) -> Option<(Accident, &str)> {
        let given = [
            (Accident::Kill, &self.kill),
            (Accident::Start, &self.start),
            (Accident::Unplug, &self.unplug),
            (Accident::Plug, &self.plug),
        ];
        given.into_iter().find_map(|(accident, node)| Some((accident, node.as_deref()?)))
    }
}

/// Runs `keel pool`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    let Command::Try(args) = command;
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel pool try needs root"));
    }
    let trial = Trial::below(&context.global.root);
    if args.instead.remove {
        return remove(&trial, context).await;
    }
    match args.instead.accident() {
        Some((accident, node)) => befall(accident, node, &trial, context).await,
        None => create(args.nodes, &trial, context).await,
    }
}

async fn create(nodes: Option<u8>, trial: &Trial, context: &Context) -> Result<Exit> {
    check_machine()?;
    let made_root = !trial.root().exists();
    keel_durable::make_folder(trial.root(), 0o710).map_err(|error| {
        Failure::caused(format!("cannot make `{}`", trial.root().display()), &error)
    })?;
    let _turn = Turn::take(trial).await?;
    let blueprint = plan(trial, nodes, made_root)?;
    context.screen.say(&format!("starting a pool of {}", blueprint.size()));
    let Raised { blueprint, was_there } = raise(trial, blueprint, context).await?;
    let caller = Caller::own();
    context.screen.say(&match was_there {
        true => format!(
            "a pool of {} exists already; `{}` removes it",
            blueprint.size(),
            caller.pool(trial, "--remove")
        ),
        false => format!("a pool of {} is running on this machine", blueprint.size()),
    });
    context.screen.data(&guide(trial, &blueprint, &caller))?;
    Ok(Exit::Done)
}

async fn remove(trial: &Trial, context: &Context) -> Result<Exit> {
    let found = match trial.root().exists() {
        false => false,
        true => {
            let _turn = Turn::take(trial).await?;
            let here = trial.clone();
            keel_blocking::run(move || take_down(&here)).await?
        }
    };
    context.screen.say(&match found {
        true => format!("removed the pool in {}", trial.folder().display()),
        false => format!("there is no pool in {}", trial.folder().display()),
    });
    Ok(Exit::Done)
}

async fn befall(accident: Accident, node: &str, trial: &Trial, context: &Context) -> Result<Exit> {
    let none = || {
        Failure::new(format!("there is no pool in {}", trial.folder().display()))
            .hint("`keel pool try` creates one")
    };
    let blueprint = Blueprint::read(trial)?.ok_or_else(none)?;
    let _turn = Turn::take(trial).await?;
    let told = happen(accident, node, trial, &blueprint).await?;
    context.screen.say(&told);
    Ok(Exit::Done)
}
