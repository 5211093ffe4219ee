//! The controller: what is shared by all loops and by everything that people ask.
//!
//! # Invariants
//! - It holds no truth of its own: what is desired and remembered is in the store, what exists is
//!   on the nodes. What is in memory (queues, the sources' last words) can be lost at any time.
//! - Every way in (a poll, an event, a person) ends in a record and a hint; the pass does the rest.
//!
//! Each group of questions has its file, with an `impl Controller` in it.

use crate::ask::Refusal;
use crate::clock::Clock;
use crate::config::SourceConfig;
use crate::fleet::Fleet;
use futures_util::stream::BoxStream;
use keel_engine::{Duplex, Event, Open};
use keel_plan::desired::Policy;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a controller is started with.
#[derive(Clone)]
pub struct Settings {
    /// `records/` below the root.
    pub records: PathBuf,
    /// `sources/` below the root: clones and checkouts.
    pub sources_dir: PathBuf,
    /// `data/` below the root: what Git rightly lacks.
    pub data: PathBuf,
    /// The nodes.
    pub fleet: Fleet,
    /// What to watch; ignored unless [`serve`](Self::serve).
    pub sources: Vec<SourceConfig>,
    /// Defaults of every stack's policy.
    pub policy: Policy,
    /// Refresh sources, run passes for every stored stack, look for drift. Without it only what
    /// a command names is passed over.
    pub serve: bool,
    /// Variables that directory sources may interpolate; Git sources never see them.
    pub environment: BTreeMap<String, String>,
    /// What time it is.
    pub clock: Clock,
}

/// The controller of a root. Cheap to clone: all clones are the same one.
#[derive(Clone)]
pub struct Controller {
    pub(crate) settings: Settings,
}

/// Lines of something under way; ends by itself.
pub type Lines<T> = BoxStream<'static, T>;

impl Controller {
    /// Starts the loops (with `serve`: sources, passes of all stored stacks, drift). Needs a
    /// tokio runtime; returns at once, without Git or a registry.
    pub async fn start(settings: Settings) -> Result<Self, Refusal> {
        todo!()
    }

    /// Ends all loops, and waits for the pass under way. What runs goes on.
    pub async fn stop(&self) {
        todo!()
    }

    /// Hints of all nodes that something changed.
    pub fn events(&self) -> Lines<Event> {
        todo!()
    }

    /// Opens a conversation with a task, on the node that has it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>, Refusal> {
        todo!()
    }
}
