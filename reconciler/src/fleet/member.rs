//! One node of the fleet, and what is remembered of it.

use crate::clock::Clock;
use crate::refusal::with_causes;
use keel_engine::{Depth, Digest, Engine, EngineError, NodeName, NodeReport, Observation, Result};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A node that has not answered by then is silent. The only one is given all the time that it needs.
const ANSWER: Duration = Duration::from_secs(10);

/// For how long nothing was heard of a node; `None` while it is connected.
pub type Unheard = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// A node, as one engine speaks for it.
pub(super) struct Member {
    /// Told apart from every other, also from the one that spoke for the node before.
    pub(super) number: u64,
    pub(super) engine: Arc<dyn Engine>,
    unheard: Option<Unheard>,
    memory: Mutex<Memory>,
    /// Contents and files that it was handed, as long as this engine speaks for it.
    handed: Mutex<BTreeSet<Digest>>,
}

#[derive(Clone, Default)]
struct Memory {
    last: Option<Arc<Observation>>,
    silent: Option<Silence>,
}

/// A node that does not answer: somebody goes on asking it, and everybody else goes on without it.
#[derive(Clone)]
struct Silence {
    /// Milliseconds since the Unix epoch.
    since: u64,
    began: Instant,
    why: String,
}

impl Member {
    /// Nothing is known of it yet.
    pub(super) fn new(engine: Arc<dyn Engine>, unheard: Option<Unheard>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { number, engine, unheard, memory: Mutex::default(), handed: Mutex::default() }
    }

    /// The same node with another engine, which has not been asked yet.
    pub(super) fn with_engine(&self, engine: Arc<dyn Engine>, unheard: Option<Unheard>) -> Self {
        let memory = Memory { last: self.memory().last.clone(), silent: None };
        Self { memory: Mutex::new(memory), ..Self::new(engine, unheard) }
    }

    fn handed(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of these it has not been handed.
    pub(super) fn lacks(&self, contents: &BTreeSet<Digest>) -> Vec<Digest> {
        contents.difference(&self.handed()).copied().collect()
    }

    /// It was handed this.
    pub(super) fn has(&self, content: Digest) {
        self.handed().insert(content);
    }

    /// It may have lost these.
    pub(super) fn lost(&self, contents: &BTreeSet<Digest>) {
        self.handed().retain(|digest| !contents.contains(digest));
    }

    /// It may have lost anything.
    pub(super) fn was_swept(&self) {
        self.handed().clear();
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it said last, if it ever did.
    pub(super) fn last(&self) -> Option<Arc<Observation>> {
        self.memory().last.clone()
    }

    /// What it answers by a deadline.
    pub(super) async fn answer(&self, name: &NodeName, depth: Depth) -> Result<Observation> {
        let look = timeout(ANSWER, self.engine.observe(depth)).await;
        look.unwrap_or_else(|late| Err(EngineError::failed(format!("node {name} is silent"), late)))
    }

    /// For how long nothing was heard of it, as its connection says; else, for how long it has not answered.
    pub(super) fn unheard_for(&self) -> Option<Duration> {
        match &self.unheard {
            Some(unheard) => unheard(),
            None => self.memory().silent.as_ref().map(|silence| silence.began.elapsed()),
        }
    }

    /// What is known of it, while it is silent.
    pub(super) fn silence(&self, is_down: bool) -> Option<NodeReport> {
        let memory = self.memory();
        let Silence { since, why, .. } = memory.silent.clone()?;
        Some(NodeReport::Unknown { since, why, last: memory.last.clone(), is_down })
    }

    /// It answered.
    pub(super) fn spoke(&self, observation: Observation) -> NodeReport {
        let observation = Arc::new(observation);
        *self.memory() = Memory { last: Some(observation.clone()), silent: None };
        NodeReport::Known(observation)
    }

    /// What is known of it from now on, and whether it spoke until now.
    pub(super) fn fell_silent(&self, error: &EngineError, is_down: bool) -> (NodeReport, bool) {
        let mut memory = self.memory();
        let first = memory.silent.is_none();
        let new = || (Clock::system().now(), Instant::now());
        let (since, began) = memory.silent.as_ref().map_or_else(new, |one| (one.since, one.began));
        let why = with_causes(error);
        memory.silent = Some(Silence { since, began, why: why.clone() });
        (NodeReport::Unknown { since, why, last: memory.last.clone(), is_down }, first)
    }
}
