//! What exists: from the records, and from what lives.

use crate::core::Core;
use crate::late;
use crate::network::Scope;
use crate::networks::Stored;
use crate::step::Alive;
use crate::tasks::Records;
use crate::volumes::{self, Volume};
use crate::{
    Layout, blocking, clock, foreign, health, namespaces, phase, read, record, removal, room,
};
use keel_engine::{
    Depth, ExitCause, Health, Observation, ObservedNetwork, ObservedTask, ObservedVolume, Phase,
    Result,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Core {
    /// Looks at everything.
    pub(crate) async fn look(self: &Arc<Self>, depth: Depth) -> Result<Observation> {
        let foreign = async {
            match &self.options.docker {
                Some(socket) => foreign::containers(socket).await,
                None => Vec::new(),
            }
        };
        let core = Arc::clone(self);
        let own = blocking::run(move || core.look_at_own(depth));
        let (own, foreign) = tokio::join!(own, foreign);
        Ok(Observation { foreign, ..own? })
    }

    fn look_at_own(&self, depth: Depth) -> Result<Observation> {
        let layout = &self.layout;
        let all = self.looked.tasks()?;
        let stored = self.looked.networks()?;
        let mut tasks: Vec<_> = all.iter().map(|records| task(records, &all)).collect();
        let is_late = late::is_any(layout);
        for task in &mut tasks {
            if is_late && late::late_wish(&layout.task(&task.id)).is_some() {
                task.message = Some(UNNOTED.to_owned());
            }
        }
        let mut findings = Vec::new();
        if depth != Depth::State {
            let scope = scope_of(&depth, &all, &stored);
            let mut of_network = read::networks(layout, &stored, &scope, &mut findings)?;
            for (task, records) in tasks.iter_mut().zip(&all) {
                if !depth.is_close(&task.place) {
                    continue;
                }
                task.findings = read::task(layout, records, task);
                task.findings.extend(of_network.remove(&task.id).unwrap_or_default());
            }
        }
        let written: BTreeSet<_> = all.iter().map(|task| task.wish.spec.image.clone()).collect();
        Ok(Observation {
            node: self.options.node.clone(),
            at: clock::now(),
            networks: stored.iter().map(|stored| network(layout, stored, &all)).collect(),
            volumes: volumes::all(layout)?.iter().map(|v| volume(layout, v, &all)).collect(),
            images: self.images.observed(written)?,
            disk: room::disk(layout),
            foreign: Vec::new(),
            tasks,
            findings,
        })
    }
}

/// What is read back: the networks that a task that is looked at closely is in, or that are its stack's.
fn scope_of(depth: &Depth, all: &[Arc<Records>], stored: &[Arc<Stored>]) -> Scope {
    let Depth::FieldsOf(stack) = depth else { return Scope::All };
    let close = || all.iter().filter(|records| depth.is_close(&records.latest().place));
    let joined = close().flat_map(|records| &records.work.endpoints);
    let own = stored.iter().filter(|stored| read::stack_of(&stored.spec).as_ref() == Some(stack));
    let own = own.map(|stored| stored.spec.name.clone());
    let networks = joined.map(|endpoint| endpoint.network.clone()).chain(own).collect();
    Scope::Of { networks, tasks: close().map(|records| records.wish.id.clone()).collect() }
}

/// What a stop is that no disk knows of.
const UNNOTED: &str = "the disk takes nothing any more, so that the stop could not be noted: \
                       it starts again with the machine";

fn task(records: &Records, all: &[Arc<Records>]) -> ObservedTask {
    let alive = Alive::of(records);
    let phase = phase::phase(records, alive, &record::boot_id());
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
        digest: work.digest.clone().or_else(|| wish.digest.clone()),
        joins: wish.joins.clone(),
        apart: namespaces::is_apart(records, all),
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
        health_limit: work.health.as_ref().map(health::limit),
        addresses: work.endpoints.iter().map(|e| (e.network.clone(), e.ipv4.clone())).collect(),
        ports: work.ports.clone(),
        findings: Vec::new(),
        phase,
    }
}

fn network(layout: &Layout, stored: &Stored, all: &[Arc<Records>]) -> ObservedNetwork {
    let name = &stored.spec.name;
    let made = stored.made.as_ref();
    let users = all.iter().filter(|task| removal::joins(task, name));
    ObservedNetwork {
        spec: stored.spec.clone(),
        subnet: made.map(|made| made.subnet.to_string()).unwrap_or_default(),
        gateway: made.map(|made| made.gateway.to_string()).unwrap_or_default(),
        bridge: layout.bridge(name),
        created: stored.created,
        tasks: users.map(|task| task.wish.id.clone()).collect(),
        message: stored.message.clone(),
    }
}

fn volume(layout: &Layout, volume: &Volume, all: &[Arc<Records>]) -> ObservedVolume {
    let users = all.iter().filter(|task| removal::mounts(task, &volume.spec.name));
    let mountpoint = volumes::mountpoint(layout, volume);
    ObservedVolume {
        spec: volume.spec.clone(),
        message: volume.message.clone().or(mountpoint.as_ref().err().map(ToString::to_string)),
        mountpoint: mountpoint.map(|path| path.display().to_string()).unwrap_or_default(),
        created: volume.created,
        tasks: users.map(|task| task.wish.id.clone()).collect(),
        anonymous: volume.owner.is_some(),
    }
}
