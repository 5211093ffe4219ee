//! The records of tasks, networks and volumes: each is read again only when its files changed.

use crate::network::stored::{self, Stored};
use crate::task::records::{self, Records};
use crate::volumes::{self, Volume};
use crate::{Layout, root::late};
use keel_durable::Remembered;
use keel_engine::{Result, TaskId};
use std::collections::HashSet;
use std::sync::Arc;

/// What a look found, for the next one.
pub(super) struct Looked {
    layout: Layout,
    tasks: Remembered<TaskId, Records>,
    networks: Remembered<String, Stored>,
    volumes: Remembered<String, Volume>,
}

impl Looked {
    /// Nothing is known yet.
    pub(super) fn new(layout: &Layout) -> Self {
        let (tasks, networks) = (Remembered::default(), Remembered::default());
        Self { layout: layout.clone(), tasks, networks, volumes: Remembered::default() }
    }

    /// A task's records, those in memory included where there may be any.
    pub(super) fn task(&self, id: &TaskId, is_late: bool) -> Result<Option<Arc<Records>>> {
        let dir = self.layout.task(id);
        let in_memory = is_late.then(|| late::records(&dir)).into_iter().flatten();
        let files: Vec<_> = dir.records().into_iter().chain(in_memory).collect();
        self.tasks.get(id, &files, || records::load(&self.layout, id))
    }

    pub(super) fn network(&self, name: &String) -> Result<Option<Arc<Stored>>> {
        let file = self.layout.networks().join(name);
        self.networks.get(name, &[file], || stored::load(&self.layout, name))
    }

    pub(super) fn volume(&self, name: &String) -> Result<Option<Arc<Volume>>> {
        let file = self.layout.volumes().join(name).join("spec");
        self.volumes.get(name, &[file], || volumes::load(&self.layout, name))
    }

    /// Every task, network and volume that has a folder or file; what else was known is forgotten.
    pub(super) fn names(&self) -> Result<(Vec<TaskId>, Vec<String>, Vec<String>)> {
        let ids = records::ids(&self.layout)?;
        let (networks, volumes) = (stored::names(&self.layout)?, volumes::names(&self.layout)?);
        self.tasks.keep(&ids.iter().cloned().collect());
        self.networks.keep(&networks.iter().cloned().collect::<HashSet<_>>());
        self.volumes.keep(&volumes.iter().cloned().collect::<HashSet<_>>());
        Ok((ids, networks, volumes))
    }
}
