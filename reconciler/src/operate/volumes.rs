//! `volume ls`, `create`, `rm`.

use super::target::listed_names;
use crate::ask::Refusal;
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::rows::{RemoveAsk, VolumeAsk, VolumeRow};
use keel_engine::{
    Assignment, Depth, MountSource, Observation, ObservedVolume, Presence, TaskId, VolumeSpec,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// How long making or removing one may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Controller {
    /// Every volume of every node, by name.
    pub async fn volumes(&self) -> Result<Vec<VolumeRow>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        Ok(seen.volumes.iter().map(|volume| row(volume, &seen)).collect())
    }

    /// Makes a volume that belongs to no stack; gives its name when it is there.
    pub async fn create_volume(&self, ask: VolumeAsk) -> Result<String, Refusal> {
        let mut spec = ask.spec;
        if spec.name.is_empty() {
            let seed = format!("volume {} {}", self.now(), std::process::id());
            spec.name = TaskId::from_seed(&seed).as_str().to_owned();
        }
        if spec.driver.is_empty() {
            "local".clone_into(&mut spec.driver);
        }
        let name = spec.name.clone();
        let wish = Assignment::Volume { spec, wanted: Presence::Present };
        self.fleet().assign(&[wish]).await?;
        let there = |seen: &Observation| {
            let volume = seen.volume(&name)?;
            Some(volume.message.clone())
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), there).await? {
            Some(None) => Ok(name),
            Some(Some(why)) => Err(Refusal::conflict(format!("volume {name}: {why}"))),
            None => Err(Refusal::conflict(format!("volume {name} does not come"))),
        }
    }

    /// Removes volumes with their data; gives the names of those that are gone. Refused for one
    /// in use.
    pub async fn remove_volumes(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let mut specs = Vec::new();
        for name in &ask.names {
            match seen.volume(name) {
                Some(volume) => specs.push(free(volume, &seen)?),
                None if ask.force => {}
                None => {
                    return Err(Refusal::not_found(format!("no such volume: {name}"))
                        .hint("`keel volume ls` lists them"));
                }
            }
        }
        let names: BTreeSet<_> = specs.iter().map(|spec| spec.name.clone()).collect();
        let absent = |spec| Assignment::Volume { spec, wanted: Presence::Absent };
        let wishes: Vec<_> = specs.into_iter().map(absent).collect();
        self.fleet().assign(&wishes).await?;
        // Gone, or why they cannot go.
        let ended = |seen: &Observation| {
            let there = seen.volumes.iter().filter(|volume| names.contains(&volume.spec.name));
            let there: Vec<_> = there.collect();
            let message = there.iter().find_map(|volume| volume.message.clone());
            (there.is_empty() || message.is_some()).then_some(message)
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), ended).await? {
            Some(None) => Ok(names.into_iter().collect()),
            Some(Some(message)) => Err(Refusal::conflict(message)),
            None => Err(Refusal::conflict("the volumes are still there")),
        }
    }
}

fn free(volume: &ObservedVolume, seen: &Observation) -> Result<VolumeSpec, Refusal> {
    match users(volume, seen).first() {
        None => Ok(volume.spec.clone()),
        Some(user) => {
            let name = &volume.spec.name;
            Err(Refusal::conflict(format!("volume {name} is in use by container {user}"))
                .hint(format!("remove the container first: `keel rm {user}`")))
        }
    }
}

pub(crate) fn users(volume: &ObservedVolume, seen: &Observation) -> Vec<String> {
    let names = listed_names(seen);
    let mounts = |task: &&keel_engine::ObservedTask| {
        volume.tasks.contains(&task.id)
            || task.spec.volumes.iter().any(|mount| {
                matches!(&mount.source, MountSource::Volume { name, .. } if *name == volume.spec.name)
            })
    };
    seen.all_tasks().filter(mounts).map(|task| names[&task.id].clone()).collect()
}

fn row(volume: &ObservedVolume, seen: &Observation) -> VolumeRow {
    VolumeRow {
        name: volume.spec.name.clone(),
        driver: volume.spec.driver.clone(),
        mountpoint: volume.mountpoint.clone(),
        created: rfc3339(volume.created),
        node: seen.node.clone(),
        labels: volume.spec.labels.clone(),
        anonymous: volume.anonymous,
        containers: users(volume, seen),
    }
}
