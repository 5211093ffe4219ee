//! The records of all tasks and networks, for whoever needs all: each is read again only when it changed.

use crate::networks::{self, Stored};
use crate::remembered::Remembered;
use crate::tasks::{self, Records};
use crate::{Layout, late};
use keel_engine::{Result, TaskId};
use std::sync::Arc;

/// What a look found, for the next one.
pub(crate) struct Looked {
    layout: Layout,
    tasks: Remembered<TaskId, Records>,
    networks: Remembered<String, Stored>,
}

impl Looked {
    /// Nothing is known yet.
    pub(crate) fn new(layout: &Layout) -> Self {
        let (tasks, networks) = (Remembered::default(), Remembered::default());
        Self { layout: layout.clone(), tasks, networks }
    }

    /// Every task's records. A task that goes while this looks is left out.
    pub(crate) fn tasks(&self) -> Result<Vec<Arc<Records>>> {
        let ids = tasks::ids(&self.layout)?;
        self.tasks.keep(&ids.iter().cloned().collect());
        let is_late = late::is_any(&self.layout);
        let load = |id: &TaskId| {
            let dir = self.layout.task(id);
            let in_memory = is_late.then(|| late::records(&dir)).into_iter().flatten();
            let files: Vec<_> = dir.records().into_iter().chain(in_memory).collect();
            self.tasks.get(id, &files, || tasks::load(&self.layout, id)).transpose()
        };
        ids.iter().filter_map(load).collect()
    }

    /// Every network, ordered by name.
    pub(crate) fn networks(&self) -> Result<Vec<Arc<Stored>>> {
        let names = networks::names(&self.layout)?;
        self.networks.keep(&names.iter().cloned().collect());
        let load = |name: &String| {
            let file = self.layout.networks().join(name);
            self.networks.get(name, &[file], || networks::load(&self.layout, name)).transpose()
        };
        names.iter().filter_map(load).collect()
    }
}
