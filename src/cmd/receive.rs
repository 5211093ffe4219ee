//! `keel receive check | sync`: hidden. The hooks of a repository of our own call it while
//! somebody pushes; what it prints is what they read.

use crate::connect::running;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::{self, repos};
use crate::root;
use crate::show::{outcome, problem};
use keel_reconciler::config::{Follow, From, SourceConfig};
use keel_reconciler::repos::{Pushed, check};
use keel_reconciler::rows::SyncAsk;
use std::io::Read;
use std::path::PathBuf;

/// The subcommands of `keel receive`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Before it is taken: refuse what has mistakes
    Check(Args),
    /// Afterwards: deploy it, and say what became of it
    Sync(Args),
}

/// What both take.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The source
    name: String,
}

/// Where Git keeps what it has not taken yet.
const QUARANTINE: &str = "GIT_QUARANTINE_PATH";

/// Runs `keel receive`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    let (Command::Check(args) | Command::Sync(args)) = &command;
    let source = source(&args.name, context)?;
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::caused("cannot read what is pushed", &error))?;
    let followed = text.lines().filter_map(Pushed::of_line).find(|one| one.is_followed_by(&source));
    let Some(pushed) = followed else {
        if matches!(command, Command::Sync(_)) {
            context.screen.say(&format!("source {} follows another branch", args.name));
        }
        return Ok(Exit::Done);
    };
    match (&command, pushed.commit) {
        (Command::Check(_), None) => {
            Err(Failure::new(format!("source {} follows {}", args.name, pushed.reference))
                .hint("it is not removed by a push: remove the stacks in it instead"))
        }
        (Command::Check(_), Some(commit)) => look(&source, &commit, context),
        (Command::Sync(_), _) => deploy(&args.name, context).await,
    }
}

/// As `keel.yaml` has it, where it does.
fn source(name: &str, context: &Context) -> Result<SourceConfig> {
    let configured = machine::config(context)?.sources.into_iter().find(|one| one.name == name);
    let own = repos(context, &root::layout(&context.global.root)).ok();
    let own = own.and_then(|repos| repos.source(name));
    let source = match (configured, own) {
        (Some(configured), Some(own)) => Some(on_its_branch(configured, own)),
        (configured, own) => configured.or(own),
    };
    source.ok_or_else(|| Failure::new(format!("there is no repository of a source {name}")))
}

/// Where keel.yaml names no branch, it is the one that HEAD names: the repository's own.
fn on_its_branch(mut configured: SourceConfig, own: SourceConfig) -> SourceConfig {
    if let (From::Git(git), From::Git(own)) = (&mut configured.from, own.from)
        && git.follow == Follow::Branch(None)
    {
        git.follow = own.follow;
    }
    configured
}

fn look(source: &SourceConfig, commit: &str, context: &Context) -> Result<Exit> {
    let layout = root::layout(&context.global.root);
    let From::Git(config) = &source.from else { return Ok(Exit::Done) };
    let data =
        config.data_dir.clone().unwrap_or_else(|| layout.root().join("data").join(&source.name));
    let quarantine = crate::env::get(QUARANTINE).map(PathBuf::from);
    // A hook's own folder is the repository.
    let repo = std::env::current_dir().map_err(|error| Failure::caused("nowhere", &error))?;
    let checked = check(&repo, quarantine.as_deref(), commit, source, &data)
        .map_err(|error| Failure::caused("cannot inspect what is pushed", &error))?;
    problem::tell(&context.screen, &checked.errors, &checked.warnings);
    if checked.errors.is_empty() {
        return Ok(Exit::Done);
    }
    let counted = problem::count(&checked.errors, &checked.warnings);
    context.screen.say(&format!("{}: {counted}; nothing is taken", keel_engine::short(commit)));
    Ok(Exit::Failed)
}

async fn deploy(name: &str, context: &Context) -> Result<Exit> {
    let Some(client) = running(context).await? else {
        context
            .screen
            .say("accepted; `keel serve` is not running, and deploys it once it is started");
        return Ok(Exit::Done);
    };
    let (targets, by) = (vec![name.to_owned()], root::person());
    let ask = SyncAsk { targets, by, pushed: true, ..SyncAsk::default() };
    let ended = outcome::watch(&context.screen, client.sync(&ask).await?).await?;
    let ended = ended.unwrap_or(Exit::Failed);
    context.screen.say(match ended {
        Exit::Done => "deployed, and healthy",
        Exit::Unhealthy => "deployed, but not healthy in time: `keel status` says more",
        _ => "not deployed: what ran before goes on; `keel status` says more",
    });
    Ok(ended)
}
