//! What records say, in the contract's words.

use crate::network::stored::Stored;
use crate::root::record::Endpoint;
use crate::task::records::Records;
use crate::task::step::Alive;
use crate::task::step_error::failure;
use crate::volumes::{self, Volume};
use crate::{
    Layout,
    task::{health_plan, phase},
};
use keel_engine::{
    ExitCause, Health, ObservedNetwork, ObservedTask, ObservedVolume, Phase, TaskId,
};
use std::net::IpAddr;

/// What a stop is that no disk knows of.
pub(super) const UNNOTED: &str = "the disk takes no writes, so the stop could not be recorded: \
                                  it starts again with the machine";

/// One task, but for what it shares with others.
pub(super) fn task(records: &Records, alive: Alive) -> ObservedTask {
    let phase = phase::phase(records, alive, &keel_durable::boot_id());
    let (wish, work) = (records.latest(), &records.work);
    let state = records.state.clone().unwrap_or_default();
    let exit_cause = match state.exit_cause {
        Some(ExitCause::KilledFromOutside) if records.killed_by_person() => {
            Some(ExitCause::Stopped)
        }
        cause => cause,
    };
    let lives = matches!(phase, Phase::Running | Phase::Draining | Phase::Backoff);
    let no_health = if work.health.is_some() && phase != Phase::Exited {
        Health::Starting
    } else {
        Health::None
    };
    ObservedTask {
        id: wish.id.clone(),
        place: wish.place.clone(),
        generation: wish.generation,
        goal: wish.goal,
        spec: wish.spec.clone(),
        digest: work.digest.or(wish.digest),
        joins: wish.joins.clone(),
        apart: false,
        revision: wish.revision.clone(),
        origins: wish.origins.clone(),
        auto_remove: wish.auto_remove,
        message: work.message.clone().or(state.message),
        attempts: work.attempts,
        pid: state.process.filter(|_| alive.process).map(|process| process.pid),
        created: work.created,
        started: state.started,
        finished: state.finished.filter(|_| phase != Phase::Running),
        exit_code: state.exit_code.filter(|_| phase != Phase::Running),
        exit_cause: exit_cause.filter(|_| phase != Phase::Running),
        restarts: state.restarts,
        health: if lives { state.health } else { no_health },
        health_since: state.health_since,
        health_output: state.health_output,
        health_limit: work.health.as_ref().map(health_plan::limit),
        addresses: work.endpoints.iter().flat_map(addresses).collect(),
        ports: work.ports.clone(),
        findings: Vec::new(),
        phase,
    }
}

fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = (String, IpAddr)> {
    endpoint.addresses.iter().map(|address| (endpoint.network.clone(), address.addr()))
}

/// One network, and the tasks in it.
pub(super) fn network(stored: &Stored, tasks: Vec<TaskId>) -> ObservedNetwork {
    let made = stored.made.as_ref();
    ObservedNetwork {
        spec: stored.spec.clone(),
        pools: made.map(|made| made.pools.clone()).unwrap_or_default(),
        link: made.and_then(|made| made.link.clone()),
        created: stored.created,
        tasks,
        message: stored.message.clone(),
    }
}

/// One volume, and the tasks that mount it.
pub(super) fn volume(layout: &Layout, volume: &Volume, tasks: Vec<TaskId>) -> ObservedVolume {
    let mountpoint = volumes::mountpoint(layout, volume);
    ObservedVolume {
        spec: volume.spec.clone(),
        message: volume.message.clone().or(mountpoint.as_ref().err().map(|error| failure(error))),
        mountpoint: mountpoint.map(|path| path.display().to_string()).unwrap_or_default(),
        created: volume.created,
        tasks,
        anonymous: volume.owner.is_some(),
    }
}
