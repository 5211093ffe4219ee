//! Starts the nodes of a pool to try, and has them join as a person would.

use super::blueprint::{Blueprint, PlannedNode};
use super::places::Trial;
use super::{daemon, demo};
use crate::connect;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::root;
use keel_api::Client;
use keel_api::pool::{NodeAsk, NodeChange, NodeState, TokenAsk};
use keel_durable::Hold;
use keel_engine::NodeName;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long a token is good: it is used at once.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(100);

/// Starts a node's daemon unless it runs; whether it had to.
pub async fn start(
    trial: &Trial,
    blueprint: &Blueprint,
    node: &PlannedNode,
    token: Option<String>,
) -> Result<bool> {
    let (here, plan, which) = (trial.clone(), blueprint.clone(), node.clone());
    let started = keel_blocking::run(move || {
        if daemon::runs(&here, &which.name)? {
            return Ok(false);
        }
        if which == plan.controller() {
            begin_stack(&here, &plan)?;
        }
        let config = if which == plan.controller() { demo::config(&plan) } else { String::new() };
        fs::write(here.config(&which.name), config)?;
        daemon::start(&here, &plan, &which, token.as_deref()).map(|()| true)
    });
    started.await.map_err(|error: io::Error| {
        Failure::caused(format!("cannot start {}", node.name), &error)
            .hint("`keel pool try --remove` removes what was made")
    })
}

/// Waits until the controller answers.
pub async fn until_answers(trial: &Trial, node: &PlannedNode, context: &Context) -> Result<Client> {
    let mut global = context.global.clone();
    global.root = trial.node(&node.name).root().to_owned();
    let controller = Context::new(global, context.files.clone());
    let began = Instant::now();
    loop {
        if let Ok(Some(client)) = connect::running(&controller).await {
            return Ok(client);
        }
        check_alive(trial, node, began).await?;
        tokio::time::sleep(AGAIN).await;
    }
}

/// An error where a node's daemon has ended, or takes too long.
async fn check_alive(trial: &Trial, node: &PlannedNode, began: Instant) -> Result<()> {
    let (here, name) = (trial.clone(), node.name.clone());
    let runs = keel_blocking::run(move || daemon::runs(&here, &name)).await.unwrap_or(true);
    let what = match runs {
        true if began.elapsed() < PATIENCE => return Ok(()),
        true => "does not answer",
        false => "has ended",
    };
    let (name, log) = (&node.name, trial.log(&node.name));
    let words = daemon::last_words(trial, name);
    Err(Failure::new(format!("{name} {what}: {words}"))
        .hint(format!("the whole log of {name} is in `{}`", log.display())))
}

/// Has a node join the pool, as a person would. Whether anything had to be done.
pub async fn join(
    trial: &Trial,
    blueprint: &Blueprint,
    node: &PlannedNode,
    client: &Client,
) -> Result<bool> {
    let identity = trial.node(&node.name).root().join("pool/node.pem");
    let here = trial.clone();
    let name = node.name.clone();
    let runs = keel_blocking::run(move || daemon::runs(&here, &name)).await.unwrap_or(false);
    if runs {
        return Ok(false);
    }
    let name = NodeName::new(node.name.clone());
    let is_known = client.nodes().await?.iter().any(|row| row.name == name);
    match (is_known, has_joined(&identity)) {
        (true, true) => return start(trial, blueprint, node, None).await,
        // It was killed as it joined: the pool knows it, and it does not know that.
        (true, false) => {
            let change = NodeChange::Remove { force: true };
            client.change_node(&NodeAsk { node: name, change }).await?;
        }
        // A person removed it from the pool, which it may join again.
        (false, true) => fs::remove_file(&identity)
            .map_err(|error| Failure::caused(format!("cannot start {}", node.name), &error))?,
        (false, false) => {}
    }
    let ttl = u64::try_from(TOKEN_LIFE.as_millis()).unwrap_or(u64::MAX);
    let ask = TokenAsk { ttl, uses: 1, labels: BTreeMap::new(), creator: root::person() };
    let token = client.create_token(&ask).await?.token;
    start(trial, blueprint, node, Some(token)).await
}

/// Before a machine has joined, its file holds its key alone.
fn has_joined(identity: &Path) -> bool {
    fs::read_to_string(identity).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
}

/// Waits until the controller has heard of each node.
pub async fn until_ready(trial: &Trial, nodes: &[PlannedNode], client: &Client) -> Result<()> {
    let began = Instant::now();
    loop {
        let rows = client.nodes().await?;
        let ready = |node: &PlannedNode| {
            rows.iter().any(|row| row.name.as_str() == node.name && row.state == NodeState::Ready)
        };
        let Some(late) = nodes.iter().find(|node| !ready(node)) else { return Ok(()) };
        check_alive(trial, late, began).await?;
        tokio::time::sleep(AGAIN).await;
    }
}

/// Puts the demo stack where the controller finds it.
pub fn begin_stack(trial: &Trial, blueprint: &Blueprint) -> io::Result<()> {
    let file = trial.demo();
    if file.exists() {
        return Ok(());
    }
    keel_durable::make_folder(&trial.stacks().join(demo::STACK), 0o755)?;
    let text = demo::first(blueprint.nodes);
    keel_durable::replace(&file, text.as_bytes(), 0o644, Hold::Process)
}
