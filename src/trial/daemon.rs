//! The daemon of a node: `keel serve` on the first, `keel agent` on the others.

use super::blueprint::{Blueprint, PlannedNode};
use super::caller::program;
use super::places::Trial;
use crate::env;
use keel_embedded::lab::{Inhabitant, Place, inhabitants, launch};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

/// Lines of a log that are shown of a daemon that ended.
const LAST_LINES: usize = 5;

/// Whether a node's daemon runs.
pub fn runs(trial: &Trial, node: &str) -> io::Result<bool> {
    let is_daemon =
        |one: &Inhabitant| one.arguments.iter().any(|word| word == "serve" || word == "agent");
    Ok(inhabitants(trial.node(node).root())?.iter().any(is_daemon))
}

/// Starts a node's daemon. With a token an agent joins the pool.
pub fn start(
    trial: &Trial,
    blueprint: &Blueprint,
    node: &PlannedNode,
    token: Option<&str>,
) -> io::Result<()> {
    let mut command = call(trial, node)?;
    if *node == blueprint.controller() {
        command.arg("serve").arg(trial.stacks());
    } else {
        let address = node.address.addr().to_string();
        command.args(["agent", "--join", &blueprint.join(), "--advertise", &address]);
        token.map(|token| command.env(env::TOKEN, token));
    }
    let netns = trial.netns(&node.name).open()?.ok_or(io::ErrorKind::NotFound)?;
    let home = trial.layout();
    let place = Place { netns: netns.as_fd(), hostname: &node.name, home: &home };
    launch(&mut command, &place).map(drop)
}

/// What is the same for both: nothing that is meant for the host's own keel comes along.
fn call(trial: &Trial, node: &PlannedNode) -> io::Result<Command> {
    let log =
        OpenOptions::new().create(true).append(true).mode(0o600).open(trial.log(&node.name))?;
    let mut command = Command::new(program()?);
    command.arg("--root").arg(trial.node(&node.name).root());
    command.arg("--config").arg(trial.config(&node.name));
    for name in [env::ROOT, env::CONFIG, env::HOST, env::TOKEN, env::COMPOSE_FILE] {
        command.env_remove(name);
    }
    // The host's Docker is not the node's.
    command.env(env::DOCKER_HOST, "none").env(env::NO_COLOR, "1");
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/");
    Ok(command)
}

/// The last lines that a node's daemon said, as one.
pub fn last_words(trial: &Trial, node: &str) -> String {
    let text = fs::read_to_string(trial.log(node)).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ")
}
