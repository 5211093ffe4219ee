//! The controller: everything that people ask, over the desk that all loops share.
//!
//! # Invariants
//! - Every way in (a poll, an event, a person) ends in a record and a hint; the pass does the rest.
//!
//! Each group of questions has its file in `operate`, with an `impl Controller` in it.

use crate::ask::Refusal;
use crate::desk::Desk;
use crate::rows::ClearedRow;
use crate::settings::Settings;
use futures_util::stream::{BoxStream, StreamExt};
use keel_engine::{Duplex, Event, Open};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

/// The controller of a root. Cheap to clone: all clones are the same one.
#[derive(Clone)]
pub struct Controller {
    desk: Arc<Desk>,
    loops: Arc<Mutex<Option<JoinSet<()>>>>,
}

/// Lines of something under way; ends by itself.
pub type Lines<T> = BoxStream<'static, T>;

/// Whatever people ask is answered from the desk.
impl Deref for Controller {
    type Target = Arc<Desk>;

    fn deref(&self) -> &Self::Target {
        &self.desk
    }
}

impl Controller {
    /// One of which nothing runs yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { desk: Arc::new(Desk::new(settings)), loops: Arc::default() }
    }

    /// What it shares with its loops.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// These run until [`stop`](Self::stop).
    pub(crate) fn keep_running(&self, loops: JoinSet<()>) {
        *self.loops.lock().expect("nothing panics with it") = Some(loops);
    }

    /// Ends all loops, and waits for the pass under way. What runs goes on.
    pub async fn stop(&self) {
        self.stacks().close();
        self.hints().close();
        let loops = self.loops.lock().expect("nothing panics with it").take();
        if let Some(mut loops) = loops {
            while loops.join_next().await.is_some() {}
        }
    }

    /// Hints of all nodes that something changed.
    pub fn events(&self) -> Lines<Event> {
        self.fleet().events()
    }

    /// Hints that something that `status` tells may have changed: on a node, or in what is remembered.
    pub fn stirs(&self) -> Lines<()> {
        let changes = futures_util::stream::unfold(self.records().changes(), |mut changes| async {
            changes.changed().await.ok().map(|()| ((), changes))
        });
        futures_util::stream::select(self.events().map(drop), changes).boxed()
    }

    /// Opens a conversation with a task, on the node that has it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>, Refusal> {
        Ok(self.fleet().open(what).await?)
    }

    /// What this host is called.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.settings().host
    }

    /// What was taken away last for want of room, or why nothing could be.
    pub fn cleared(&self) -> Option<ClearedRow> {
        self.last_cleared()
    }
}
