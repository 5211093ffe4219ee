//! Hints that something changed: what the engine does itself, and what shims write down.

use crate::core::Core;
use crate::watch::Watch;
use crate::{blocking, tasks};
use futures_util::stream::{BoxStream, unfold};
use keel_engine::{Event, TaskId};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// The tasks' folders that are watched.
pub(crate) struct Watched {
    watch: Watch,
    folders: Mutex<HashMap<i32, TaskId>>,
    /// The folder that holds those of the tasks.
    all: i32,
}

impl Watched {
    pub(crate) fn new(layout: &crate::Layout) -> io::Result<Self> {
        layout.make_tasks()?;
        let watch = Watch::new()?;
        let all = watch.add(&layout.tasks())?;
        Ok(Self { watch, folders: Mutex::default(), all })
    }

    fn folders(&self) -> std::sync::MutexGuard<'_, HashMap<i32, TaskId>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener's events; what it was too slow for is said to be missed.
pub(crate) fn stream(receiver: Receiver<Event>) -> BoxStream<'static, Event> {
    Box::pin(unfold(receiver, |mut receiver| async {
        match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(_)) => Some((Event::Missed, receiver)),
            Err(RecvError::Closed) => None,
        }
    }))
}

impl Core {
    /// Watches a task's folder, if it is there. Once is enough.
    pub(crate) fn watch(&self, id: &TaskId) {
        let watched = &self.watched;
        if let Ok(folder) = watched.watch.add(&self.layout.task(id).0) {
            watched.folders().insert(folder, id.clone());
        }
    }

    /// Hands on every change, until the engine is gone.
    pub(crate) async fn listen(core: Weak<Self>) {
        loop {
            let Some(watched) = core.upgrade().map(|core| Arc::clone(&core.watched)) else {
                return;
            };
            let Ok(changes) = watched.watch.next().await else { return };
            let Some(core) = core.upgrade() else { return };
            for change in changes {
                if change.folder < 0 {
                    core.look_at_all().await;
                } else if change.folder == watched.all {
                    core.appeared(&change.name);
                } else {
                    core.changed(change.folder, &change.name);
                }
            }
        }
    }

    fn appeared(&self, name: &str) {
        let Ok(id) = TaskId::new(name) else { return };
        self.watch(&id);
        // Nobody may listen.
        let _ = self.events.send(Event::Task(id));
    }

    fn changed(&self, folder: i32, name: &str) {
        let known = self.watched.folders().get(&folder).cloned();
        let Some(id) = known else { return };
        match name {
            "" => drop(self.watched.folders().remove(&folder)),
            "state" | "assignment" | "following" => self.wake_known(&id),
            "work" => {}
            _ => return,
        }
        // Nobody may listen.
        let _ = self.events.send(Event::Task(id));
    }

    /// The kernel lost changes.
    async fn look_at_all(&self) {
        let layout = self.layout.clone();
        let ids = blocking::run(move || tasks::ids(&layout)).await.unwrap_or_default();
        for id in ids {
            self.watch(&id);
            self.wake_known(&id);
        }
        // Nobody may listen.
        let _ = self.events.send(Event::Missed);
    }
}
