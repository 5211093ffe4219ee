//! Networks and volumes: made when they are asked for, and taken away once they shall go and no task uses them.

use crate::desk::Desk;
use crate::network::stored;
use crate::runtime::cgroup::{Cgroup, Home};
use crate::task::records::Records;
use crate::task::step_error;
use crate::volumes::{self, Volume};
use crate::{Layout, blocking};
use keel_engine::{EngineError, Event, Goal, MountSource, Result, TaskId};
use std::collections::HashSet;
use std::sync::Arc;

/// Makes a network. What goes wrong stands in its record, and is tried again by the tasks
/// that join it.
pub(crate) async fn make_network(desk: Arc<Desk>, name: String) {
    let Ok(_at_root) = desk.turn_at_root().await else { return };
    let _turn = desk.networks.turn().await;
    let (at, own) = (Arc::clone(&desk), name.clone());
    let make = move || stored::make(&at.layout, &own, &at.view.networks()?);
    // What goes wrong stands in its record.
    let _ = blocking::run(make).await;
    desk.tell(Event::Resource(name));
}

/// Removes the networks and volumes that shall go and are used no more.
pub(crate) async fn sweep(desk: &Arc<Desk>) {
    let Ok(_at_root) = desk.turn_at_root().await else { return };
    let _turn = desk.networks.turn().await;
    let at = Arc::clone(desk);
    let gone = blocking::run(move || swept_resources(&at)).await;
    gone.unwrap_or_default().into_iter().for_each(|name| desk.tell(Event::Resource(name)));
}

fn swept_resources(desk: &Desk) -> Result<Vec<String>> {
    let (layout, all, stored) = (&desk.layout, desk.view.records()?, desk.view.networks()?);
    let mut gone = Vec::new();
    for network in stored.iter().filter(|stored| stored.absent) {
        let name = &network.spec.name;
        if !all.iter().any(|task| joins(task, name))
            && stored::remove(layout, name, &desk.view.networks()?).is_ok()
        {
            gone.push(name.clone());
        }
    }
    for volume in desk.view.volumes()?.iter().filter(|volume| volume.absent) {
        if !all.iter().any(|task| mounts(task, &volume.spec.name)) {
            gone.extend(drop_volume(layout, Volume::clone(volume))?);
        }
    }
    strays(layout, &all);
    Ok(gone)
}

/// Its name, once it is gone. One that cannot go says why, and keeps no other from going.
fn drop_volume(layout: &Layout, volume: Volume) -> Result<Option<String>> {
    let Err(error) = volumes::remove(layout, &volume.spec.name) else {
        return Ok(Some(volume.spec.name));
    };
    let message = Some(step_error::failure(&error));
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
    let known: HashSet<&str> = all.iter().map(|task| task.wish.id.short()).collect();
    for name in root.children().unwrap_or_default() {
        if name != Home::NAME && !known.contains(name.as_str()) {
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
