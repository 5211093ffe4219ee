//! Who was sent to ask a place of the host, and has no answer yet.

use crate::task::step::Step as Next;
use keel_engine::{TaskAssignment, TaskId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::process::Child;

/// Those who still wait, and for what, by the task that they were sent for.
#[derive(Default)]
pub(crate) struct Unanswered(Mutex<HashMap<TaskId, (Child, PathBuf)>>);

impl Unanswered {
    pub(super) fn all(&self) -> MutexGuard<'_, HashMap<TaskId, (Child, PathBuf)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What somebody still waits for.
    pub(super) fn of(&self, id: &TaskId) -> Option<PathBuf> {
        let mut all = self.all();
        all.retain(|_, (child, _)| matches!(child.try_wait(), Ok(None)));
        all.get(id).map(|(_, path)| path.clone())
    }
}

/// Whether a step looks at what is mounted.
pub(crate) fn is_asked(wish: &TaskAssignment, step: Next) -> bool {
    matches!(step, Next::Prepare | Next::Launch) || step == Next::Update && wish.anew
}
