//! Makes a pool to try, or what is missing of it.

use super::blueprint::Blueprint;
use super::caller::program;
use super::joining::{begin_stack, join, start, until_answers, until_ready};
use super::places::Trial;
use super::{belongings, demo, networks, ranges, roominess};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use keel_api::Client;
use keel_durable::Hold;
use keel_embedded::lab::cabling;
use keel_plan::status::Health;
use keel_reconciler::ask::StatusRow;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long the stack may take until it runs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Debug)]
pub struct Raised {
    /// What there is now.
    pub blueprint: Blueprint,
    /// All of it was there already.
    pub was_there: bool,
}

/// What is to be there: as on record, else a new one of so many nodes, which is put on record.
pub fn plan(trial: &Trial, nodes: Option<u8>, made_root: bool) -> Result<Blueprint> {
    if let Some(known) = Blueprint::read(trial)? {
        return match nodes {
            Some(nodes) if nodes != known.nodes => Err(Failure::new(format!(
                "a pool of {} exists already in `{}`",
                known.size(),
                trial.folder().display()
            ))
            .hint("`keel pool try --remove` removes it")),
            _ => Ok(known),
        };
    }
    belongings::check(trial)?;
    let nodes = nodes.unwrap_or(DEFAULT_NODES);
    let cannot = |error: &io::Error| cannot_make(&trial.folder(), error);
    let program = program().and_then(fs::metadata).map_err(|error| cannot(&error))?.len();
    roominess::check(&trial.folder(), nodes.into(), program)?;
    let in_use = cabling::ranges_in_use().map_err(|error| cannot(&error))?;
    let seed = u32::from_str_radix(trial.layout().key(), 16).unwrap_or_default();
    let subnet = ranges::choose(&in_use, seed).ok_or_else(|| {
        Failure::new("no range of addresses in 198.18.0.0/15 is free on this machine")
            .hint("`ip route` shows what uses them")
    })?;
    let blueprint = Blueprint { nodes, subnet, made_root };
    keel_durable::make_folder(&trial.folder(), 0o700).map_err(|error| cannot(&error))?;
    blueprint.write(trial).map_err(|error| cannot(&error))?;
    Ok(blueprint)
}

/// Nodes, unless told otherwise.
const DEFAULT_NODES: u8 = 3;

/// Makes what is missing, and waits until the demo stack runs.
pub async fn raise(trial: &Trial, blueprint: Blueprint, context: &Context) -> Result<Raised> {
    let (here, plan) = (trial.clone(), blueprint.clone());
    let cabled = keel_blocking::run(move || networks::set_up(&here, &plan)).await;
    let mut was_there = !cabled.map_err(|error| cannot_make(&trial.folder(), &error))?;
    let nodes = blueprint.nodes();
    let controller = &nodes[0];
    was_there &= !start(trial, &blueprint, controller, None).await?;
    let client = until_answers(trial, controller, context).await?;
    for node in &nodes[1..] {
        let joined = join(trial, &blueprint, node, &client).await?;
        if joined {
            context.screen.say(&format!("{} is started", node.name));
        }
        was_there &= !joined;
    }
    until_ready(trial, &nodes, &client).await?;
    was_there &= !deploy(trial, &blueprint, &client).await?;
    until_runs(&client, is_well).await?;
    Ok(Raised { blueprint, was_there })
}

fn cannot_make(what: &Path, error: &io::Error) -> Failure {
    Failure::caused(format!("cannot make the pool in `{}`", what.display()), error)
        .hint("`keel pool try` goes on, `keel pool try --remove` removes what was made")
}

/// Adds what is spread over the nodes to the demo stack, once all of them take part. Whether it had to: a file that
/// somebody has edited stays.
async fn deploy(trial: &Trial, blueprint: &Blueprint, client: &Client) -> Result<bool> {
    let file = trial.demo();
    let cannot = |error: io::Error| cannot_make(&file, &error);
    begin_stack(trial, blueprint).map_err(cannot)?;
    if fs::read_to_string(&file).map_err(cannot)? != demo::first(blueprint.nodes) {
        return Ok(false);
    }
    let everywhere = |row: &StatusRow| {
        row.services.get("front").is_some_and(|(runs, _)| *runs >= u32::from(blueprint.nodes))
    };
    until_runs(client, everywhere).await?;
    let text = demo::compose(blueprint.nodes);
    keel_durable::replace(&file, text.as_bytes(), 0o644, Hold::Process).map_err(cannot)?;
    let spread = |row: &StatusRow| row.services.contains_key("worker") && is_well(row);
    until_runs(client, spread).await.map(|()| true)
}

async fn until_runs(client: &Client, is_done: impl Fn(&StatusRow) -> bool) -> Result<()> {
    let began = Instant::now();
    loop {
        let rows = client.status(vec![]).await?;
        let demo = rows.iter().find(|row| row.stack == demo::STACK);
        match demo.is_some_and(&is_done) {
            true => return Ok(()),
            false if began.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
            false => {
                let notes = demo.map(|row| row.notes.join("; ")).unwrap_or_default();
                return Err(Failure::new(format!("the demo stack is not running yet: {notes}"))
                    .with_exit(Exit::Unhealthy)
                    .hint("`keel pool try` waits again"));
            }
        }
    }
}

fn is_well(row: &StatusRow) -> bool {
    row.health == Health::Healthy && row.services.values().all(|(runs, asked)| runs == asked)
}
