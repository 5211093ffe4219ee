//! Goes on with what stands on disk: what runs is left alone, what was begun is carried on.

use crate::desk::Desk;
use crate::resolver::keeper::{NameKeeper, is_named};
use crate::task::drivers::Drivers;
use crate::task::{records, surroundings};
use crate::{Layout, blocking, resolver, root::places};
use keel_engine::{Result, TaskId};
use std::sync::Arc;

/// What was found below the root.
struct Found {
    tasks: Vec<TaskId>,
    /// Networks that were never made.
    unmade: Vec<String>,
    /// Some living task has names.
    named: bool,
}

/// Looks at everything once, and starts the drivers.
pub(crate) async fn adopt_all(
    desk: &Arc<Desk>,
    drivers: &Arc<Drivers>,
    names: &Arc<NameKeeper>,
) -> Result<()> {
    let at = Arc::clone(desk);
    let found = blocking::run(move || find(&at)).await?;
    let images = Arc::clone(&desk.images);
    blocking::run(move || images.go_on()).await;
    for name in found.unmade {
        desk.spawn(surroundings::make_network(Arc::clone(desk), name));
    }
    if found.named {
        let (layout, program) = (desk.layout.clone(), desk.options.executable.clone());
        // Should it fail, the tasks' own next steps say so.
        let _ = blocking::run(move || resolver::ensure(&layout, &program)).await;
        names.keep();
    }
    for id in &found.tasks {
        drivers.wake(id);
    }
    let at = Arc::clone(desk);
    desk.spawn(async move { surroundings::sweep(&at).await });
    Ok(())
}

fn find(desk: &Desk) -> Result<Found> {
    remove_leftovers(&desk.layout)?;
    places::begin(&desk.layout)?;
    let (all, stored) = (desk.view.records()?, desk.view.networks()?);
    let unmade = stored.iter().filter(|network| network.made.is_none() && !network.absent);
    Ok(Found {
        named: all.iter().any(|task| is_named(task)),
        unmade: unmade.map(|network| network.spec.name.clone()).collect(),
        tasks: all.iter().map(|task| task.wish.id.clone()).collect(),
    })
}

/// Folders whose first wish never got there, or whose removal was all but done: they are no tasks. What of one
/// cannot be removed now is removed with the next start.
fn remove_leftovers(layout: &Layout) -> Result<()> {
    for id in records::ids(layout)? {
        let dir = layout.task(&id);
        if !dir.assignment().exists() {
            let _ = keel_beneath::remove(&dir.0);
        }
    }
    Ok(())
}
