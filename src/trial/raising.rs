//! Makes a pool to try, or what is missing of it.

use super::blueprint::{Blueprint, PlannedNode};
use super::caller::program;
use super::places::Trial;
use super::{daemon, demo, ranges, roominess};
use crate::connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::root;
use keel_api::Client;
use keel_api::pool::{NodeAsk, NodeChange, NodeState, TokenAsk};
use keel_embedded::lab::cabling::{self, Cable};
use keel_engine::NodeName;
use keel_plan::status::Health;
use keel_reconciler::ask::StatusRow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long a token is good: it is used at once.
const TOKEN_LIFE: Duration = Duration::from_secs(600);
/// How long a daemon may take until it answers, or the stack until it runs.
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
                "a pool of {} nodes exists already in `{}`",
                known.nodes,
                trial.folder().display()
            ))
            .hint("`keel pool try --remove` removes it")),
            _ => Ok(known),
        };
    }
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
    let cabled = keel_blocking::run(move || set_up_networks(&here, &plan)).await;
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
    was_there &=
        !deploy(trial, &blueprint).map_err(|error| cannot_make(&trial.stacks(), &error))?;
    until_runs(&client, &blueprint).await?;
    Ok(Raised { blueprint, was_there })
}

fn cannot_make(what: &Path, error: &io::Error) -> Failure {
    Failure::caused(format!("cannot make the pool in `{}`", what.display()), error)
        .hint("`keel pool try` goes on, `keel pool try --remove` removes what was made")
}

/// Namespaces, switch and cables. Whether anything had to be done.
fn set_up_networks(trial: &Trial, blueprint: &Blueprint) -> io::Result<bool> {
    keel_durable::make_folder(&trial.namespaces(), 0o700)?;
    let kept = trial.switch();
    let mut changed = kept.open()?.is_none();
    kept.make()?;
    let switch = kept.open()?.ok_or(io::ErrorKind::NotFound)?;
    cabling::set_up_switch(switch.as_fd())?;
    let link = trial.host_link();
    if !cabling::has(&link)? {
        free_still(blueprint)?;
        changed = true;
    }
    let own = File::open("/proc/thread-self/ns/net")?;
    let (interface, address) = (&*link, blueprint.host());
    let cable = Cable { port: "host", netns: own.as_fd(), interface, address };
    cabling::plug(switch.as_fd(), &cable)?;
    for node in blueprint.nodes() {
        changed |= !cabling::is_plugged(switch.as_fd(), &node.name)?;
        connect_node(trial, switch.as_fd(), &node)?;
    }
    Ok(changed)
}

fn connect_node(
    trial: &Trial,
    switch: std::os::fd::BorrowedFd<'_>,
    node: &PlannedNode,
) -> io::Result<()> {
    let kept = trial.netns(&node.name);
    kept.make()?;
    let netns = kept.open()?.ok_or(io::ErrorKind::NotFound)?;
    let (port, interface, address) = (&*node.name, "eth0", node.address);
    cabling::plug(switch, &Cable { port, netns: netns.as_fd(), interface, address })
}

/// After a reboot somebody else may have the addresses.
fn free_still(blueprint: &Blueprint) -> io::Result<()> {
    let in_use = cabling::ranges_in_use()?;
    match in_use.iter().find(|other| ranges::overlap(**other, blueprint.subnet)) {
        None => Ok(()),
        Some(other) => Err(io::Error::other(format!(
            "its addresses, {}, are in use on this machine by now ({other})",
            blueprint.subnet
        ))),
    }
}

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
            fs::create_dir_all(here.stacks())?;
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

async fn until_answers(trial: &Trial, node: &PlannedNode, context: &Context) -> Result<Client> {
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
    Err(Failure::new(format!("{name} {what}; its last words: {words}"))
        .hint(format!("its log is `{}`", log.display())))
}

/// Has a node join the pool, as a person would. Whether anything had to be done.
async fn join(
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
    if has_joined(&identity) {
        return start(trial, blueprint, node, None).await;
    }
    // It was killed as it joined: the pool knows it, and it does not know that.
    let name = NodeName::new(node.name.clone());
    if client.nodes().await?.iter().any(|row| row.name == name) {
        let change = NodeChange::Remove { force: true };
        client.change_node(&NodeAsk { node: name, change }).await?;
    }
    let ttl = u64::try_from(TOKEN_LIFE.as_millis()).unwrap_or(u64::MAX);
    let ask = TokenAsk { ttl, uses: 1, labels: BTreeMap::new(), creator: root::person() };
    let token = client.create_token(&ask).await?.token;
    start(trial, blueprint, node, Some(token)).await
}

/// Before a machine has joined, its file holds its key alone.
fn has_joined(identity: &Path) -> bool {
    fs::read_to_string(identity).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
        && identity.with_file_name("controller").exists()
}

async fn until_ready(trial: &Trial, nodes: &[PlannedNode], client: &Client) -> Result<()> {
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

/// Puts the demo stack where the controller finds it, once all nodes are there to take their part. Whether it had to.
fn deploy(trial: &Trial, blueprint: &Blueprint) -> io::Result<bool> {
    let folder = trial.stacks().join(demo::STACK);
    let file = folder.join("compose.yaml");
    if file.exists() {
        return Ok(false);
    }
    keel_durable::make_folder(&folder, 0o755)?;
    let text = demo::compose(blueprint.nodes);
    keel_durable::replace(&file, text.as_bytes(), 0o644, keel_durable::Hold::Process)?;
    Ok(true)
}

async fn until_runs(client: &Client, blueprint: &Blueprint) -> Result<()> {
    let began = Instant::now();
    loop {
        let rows = client.status(vec![]).await?;
        let demo = rows.iter().find(|row| row.stack == demo::STACK);
        match demo.is_some_and(|row| is_well(row, blueprint)) {
            true => return Ok(()),
            false if began.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
            false => {
                let notes = demo.map(|row| row.notes.join("; ")).unwrap_or_default();
                return Err(Failure::new(format!("the demo stack does not run yet: {notes}"))
                    .with_exit(Exit::Unhealthy)
                    .hint("`keel pool try` waits again"));
            }
        }
    }
}

/// On each node, too: what a person has made of the stack since is theirs to judge.
fn is_well(row: &StatusRow, blueprint: &Blueprint) -> bool {
    let spread =
        row.services.get("front").is_none_or(|(runs, _)| *runs >= u32::from(blueprint.nodes));
    let complete = row.services.values().all(|(runs, asked)| runs == asked);
    row.health == Health::Healthy && spread && complete
}
