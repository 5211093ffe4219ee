//! A task's records, read and written away from the threads that serve.

use crate::root::{late, record};
use crate::task::records::{self, Records};
use crate::{Layout, blocking};
use keel_engine::{Result, TaskId};

/// What is on disk of a task; `None` where there is no such task.
pub(crate) async fn load(layout: &Layout, id: &TaskId) -> Result<Option<Records>> {
    let (layout, id) = (layout.clone(), id.clone());
    blocking::run(move || {
        late::settle(&layout.task(&id));
        records::load(&layout, &id)
    })
    .await
}

/// Stores how far a step has come.
pub(crate) async fn note_work(layout: &Layout, id: &TaskId, work: record::Work) -> Result<()> {
    let dir = layout.task(id);
    blocking::run(move || records::note_work(&dir, &work)).await
}

/// Stores what a step has come to.
pub(crate) async fn store_work(layout: &Layout, id: &TaskId, work: record::Work) -> Result<()> {
    let dir = layout.task(id);
    blocking::run(move || records::store_work(&dir, &work)).await
}
