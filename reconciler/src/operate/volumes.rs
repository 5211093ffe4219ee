//! `volume ls`, `create`, `rm`.

use super::resolve::{listed_names, reachable};
use crate::ask::Refusal;
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::rows::{RemoveAsk, VolumeAsk, VolumeRow};
use keel_engine::{
    Assignment, Depth, MountSource, NodeName, Nodes, ObservedVolume, Presence, TaskId, VolumeSpec,
    Wish,
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
        Ok(seen.all_volumes().map(|(node, volume)| row(node, volume, &seen)).collect())
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
        let seen = self.fleet().observe(Depth::State).await?;
        let wish = seen.wish_at_home(Assignment::Volume { spec, wanted: Presence::Present });
        self.fleet().assign(&[wish]).await?;
        let there = |seen: &Nodes| {
            let volume = seen.known(&seen.home)?.volume(&name)?;
            Some(volume.message.clone())
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), there).await? {
            Some(None) => Ok(name),
            Some(Some(why)) => Err(Refusal::conflict(format!("volume {name}: {why}"))),
            None => Err(Refusal::conflict(format!("volume {name} was not created in time"))),
        }
    }

    /// Removes volumes with their data; gives the names of those that are gone. Refused for one
    /// in use.
    pub async fn remove_volumes(&self, ask: RemoveAsk) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let mut wishes = Vec::new();
        let mut names = BTreeSet::new();
        for name in &ask.names {
            let named = seen.all_volumes().filter(|(_, volume)| volume.spec.name == *name);
            let named: Vec<_> = named.collect();
            if named.is_empty() && !ask.force {
                return Err(Refusal::not_found(format!("no such volume: {name}"))
                    .hint("`keel volume ls` lists them"));
            }
            for (node, volume) in named {
                reachable(&seen, node, &format!("volume {name}"))?;
                let what = Assignment::Volume {
                    spec: free(node, volume, &seen)?,
                    wanted: Presence::Absent,
                };
                wishes.push(Wish { node: node.clone(), what });
                names.insert(name.clone());
            }
        }
        self.fleet().assign(&wishes).await?;
        // Gone, or why they cannot go.
        let ended = |seen: &Nodes| {
            let there = seen.all_volumes().filter(|(_, volume)| names.contains(&volume.spec.name));
            let there: Vec<_> = there.collect();
            let message = there.iter().find_map(|(_, volume)| volume.message.clone());
            (there.is_empty() || message.is_some()).then_some(message)
        };
        match self.fleet().until(Some(Instant::now() + PATIENCE), ended).await? {
            Some(None) => Ok(names.into_iter().collect()),
            Some(Some(why)) => Err(Refusal::conflict(why.to_string())),
            None => Err(Refusal::conflict("the volumes are still there")),
        }
    }
}

fn free(node: &NodeName, volume: &ObservedVolume, seen: &Nodes) -> Result<VolumeSpec, Refusal> {
    match users(node, volume, seen).first() {
        None => Ok(volume.spec.clone()),
        Some(user) => {
            let name = &volume.spec.name;
            Err(Refusal::conflict(format!("volume {name} is in use by container {user}"))
                .hint(format!("remove the container first: `keel rm {user}`")))
        }
    }
}

/// The containers of a node that have this volume of it.
pub(crate) fn users(node: &NodeName, volume: &ObservedVolume, seen: &Nodes) -> Vec<String> {
    let names = listed_names(seen);
    let mounts = |task: &&keel_engine::ObservedTask| {
        volume.tasks.contains(&task.id)
            || task.spec.volumes.iter().any(|mount| {
                matches!(&mount.source, MountSource::Volume { name, .. } if *name == volume.spec.name)
            })
    };
    let there = seen.placed_tasks().filter(|(on, _)| *on == node).map(|(_, task)| task);
    there.filter(mounts).map(|task| names[&task.id].clone()).collect()
}

fn row(node: &NodeName, volume: &ObservedVolume, seen: &Nodes) -> VolumeRow {
    VolumeRow {
        name: volume.spec.name.clone(),
        driver: volume.spec.driver.clone(),
        mountpoint: volume.mountpoint.clone(),
        created: rfc3339(volume.created),
        node: node.to_string(),
        labels: volume.spec.labels.clone(),
        anonymous: volume.anonymous,
        containers: users(node, volume, seen),
    }
}
