//! Goes on with what stands on disk: what runs is left alone, what was begun is carried on.

use crate::core::Core;
use crate::resolver::keeper::is_named;
use crate::task::records;
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

impl Core {
    /// Looks at everything once, and starts the drivers.
    pub(crate) async fn adopt_all(self: &Arc<Self>) -> Result<()> {
        let core = Arc::clone(self);
        let found = blocking::run(move || core.find()).await?;
        let images = Arc::clone(&self.images);
        blocking::run(move || images.go_on()).await;
        for name in found.unmade {
            self.spawn(Arc::clone(self).make_network(name));
        }
        if found.named {
            let (layout, program) = (self.layout.clone(), self.options.executable.clone());
            // Should it fail, the tasks' own next steps say so.
            let _ = blocking::run(move || resolver::ensure(&layout, &program)).await;
            self.keep_names();
        }
        for id in &found.tasks {
            self.wake(id);
        }
        let core = Arc::clone(self);
        self.spawn(async move { core.sweep().await });
        Ok(())
    }

    fn find(&self) -> Result<Found> {
        remove_leftovers(&self.layout)?;
        places::begin(&self.layout)?;
        let (all, stored) = (self.view.records()?, self.view.networks()?);
        let unmade = stored.iter().filter(|network| network.made.is_none() && !network.absent);
        Ok(Found {
            named: all.iter().any(|task| is_named(task)),
            unmade: unmade.map(|network| network.spec.name.clone()).collect(),
            tasks: all.iter().map(|task| task.wish.id.clone()).collect(),
        })
    }
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
