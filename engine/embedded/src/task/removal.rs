//! Takes away tasks, and the networks and volumes that waited for them to be gone.
//!
//! # Invariants
//! - A task's folder goes last: until then the next driver goes on with the removal.
//! - A network or volume that a task uses stays.

use crate::core::Core;
use crate::runtime::cgroup::{Cgroup, Home};
use crate::task::records::{self, Records};
use crate::task::setback::{self, Setback, Step};
use crate::volumes::{self, Volume};
use crate::{Layout, blocking, network, network::stored};
use keel_engine::{EngineError, Event, Goal, MountSource, Result, TaskId};
use std::sync::Arc;

impl Core {
    /// Removes a task of which nothing lives.
    pub(crate) async fn remove(self: &Arc<Self>, records: Records) -> Step<()> {
        let id = records.wish.id.clone();
        self.end_processes(&id).await?;
        {
            let _turn = self.networks.turn().await;
            let _taking = self.taking.lock().await;
            let core = Arc::clone(self);
            blocking::run(move || core.forget_task(&records)).await?;
        }
        self.sweep().await;
        Ok(())
    }

    /// Removes the networks and volumes that shall go and are used no more.
    pub(crate) async fn sweep(self: &Arc<Self>) {
        let Ok(_at_root) = self.turn_at_root().await else { return };
        let _turn = self.networks.turn().await;
        let core = Arc::clone(self);
        let gone = blocking::run(move || core.swept_resources()).await;
        for name in gone.unwrap_or_default() {
            // Nobody may listen.
            let _ = self.events.send(Event::Resource(name));
        }
    }

    fn forget_task(&self, records: &Records) -> Step<()> {
        let (layout, Records { wish, work, .. }) = (&self.layout, records);
        for endpoint in &work.endpoints {
            network::disconnect(endpoint).map_err(|error| Setback::later(&error))?;
        }
        if wish.remove_volumes || wish.auto_remove {
            for volume in self.view.volumes()? {
                if volume.owner.as_ref().is_some_and(|owner| owner.task == wish.id) {
                    volumes::remove(layout, &volume.spec.name)?;
                }
            }
        }
        for attachment in &wish.spec.networks {
            stored::left(layout, &attachment.network)?;
        }
        records::remove(layout, &wish.id)?;
        Ok(())
    }

    fn swept_resources(&self) -> Result<Vec<String>> {
        let (layout, all, stored) = (&self.layout, self.view.records()?, self.view.networks()?);
        let mut gone = Vec::new();
        for network in stored.iter().filter(|stored| stored.absent) {
            let name = &network.spec.name;
            if !all.iter().any(|task| joins(task, name))
                && stored::remove(layout, name, &self.view.networks()?).is_ok()
            {
                gone.push(name.clone());
            }
        }
        for volume in self.view.volumes()?.iter().filter(|volume| volume.absent) {
            if !all.iter().any(|task| mounts(task, &volume.spec.name)) {
                gone.extend(drop_volume(layout, Volume::clone(volume))?);
            }
        }
        strays(layout, &all);
        Ok(gone)
    }
}

/// Its name, once it is gone. One that cannot go says why, and keeps no other from going.
fn drop_volume(layout: &Layout, volume: Volume) -> Result<Option<String>> {
    let Err(error) = volumes::remove(layout, &volume.spec.name) else {
        return Ok(Some(volume.spec.name));
    };
    let message = Some(setback::in_words(&error));
    if volume.message != message {
        volumes::store(layout, &Volume { message, ..volume })?;
    }
    Ok(None)
}

/// Cgroups of tasks that are gone: their driver was killed between the two. What cannot go now is
/// tried again after the next removal.
fn strays(layout: &Layout, all: &[Arc<Records>]) {
    let Ok(root) = Cgroup::at(&layout.cgroup()) else { return };
    if all.is_empty() {
        // Holds no process itself.
        let _ = root.remove();
        return;
    }
    for name in root.children().unwrap_or_default() {
        if name != Home::NAME && !all.iter().any(|task| task.wish.id.short() == name) {
            let stray = Cgroup::at(&format!("{}/{name}", layout.cgroup()));
            let _ = stray.and_then(|stray| stray.remove());
        }
    }
}

/// Whether a task is, or shall be, in a network.
pub(crate) fn joins(task: &Records, network: &str) -> bool {
    task.wish.spec.networks.iter().any(|attachment| attachment.network == network)
}

/// Whether a task mounts, or shall mount, a volume.
pub(crate) fn mounts(task: &Records, volume: &str) -> bool {
    let named =
        |source: &MountSource| matches!(source, MountSource::Volume { name, .. } if name == volume);
    task.wish.spec.volumes.iter().any(|mount| named(&mount.source))
        || task.work.anonymous.values().any(|name| name == volume)
}

/// Refuses to take away what a task uses that is not on its way out itself.
pub(crate) fn unused(
    all: &[Arc<Records>],
    kind: &str,
    name: &str,
    uses: impl Fn(&Records) -> bool,
) -> Result<()> {
    let user = all.iter().find(|task| uses(task) && task.wish.goal != Goal::Removed);
    let Some(user) = user else { return Ok(()) };
    let user = shown(user);
    Err(EngineError::Conflict {
        what: format!("{kind} {name} is in use by {user}"),
        hint: Some(format!("remove {user} first")),
    })
}

fn shown(task: &Records) -> String {
    let id: &TaskId = &task.wish.id;
    match task.wish.spec.container_name.as_str() {
        "" => id.to_string(),
        name => name.to_owned(),
    }
}
