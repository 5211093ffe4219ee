//! Goes on with what stands on disk: what runs is left alone, what was begun is carried on.

use crate::core::Core;
use crate::resolver::keeper::is_named;
use crate::task::records;
use crate::{Layout, blocking, network::stored, resolver, root::places};
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
        let layout = self.layout.clone();
        let found = blocking::run(move || find(&layout)).await?;
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
}

fn find(layout: &Layout) -> Result<Found> {
    for id in records::ids(layout)? {
        let dir = layout.task(&id);
        if !dir.assignment().exists() {
            // Its first wish never got here, or its removal was all but done. It is no task; what of it
            // cannot be removed now is removed with the next start.
            let _ = keel_beneath::remove(&dir.0);
        }
    }
    places::begin(layout)?;
    let all = records::load_all(layout)?;
    let unmade = stored::all(layout)?.into_iter().filter(|n| n.made.is_none() && !n.absent);
    Ok(Found {
        named: all.iter().any(is_named),
        unmade: unmade.map(|stored| stored.spec.name).collect(),
        tasks: all.into_iter().map(|task| task.wish.id).collect(),
    })
}
