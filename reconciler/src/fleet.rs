//! The nodes: a map from name to engine. One host is a map of one.
//!
//! # Invariants
//! - Whoever plans or asks never sees how many there are: what they report is one observation,
//!   and wishes go to whom they concern.

use futures_util::future::join_all;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use keel_engine::frames::Frame;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, LogOptions, Observation, Open, Result,
    Sweep, Swept, TaskId, Turn, Usage,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Lines of output that are kept of what failed, and the characters of each.
const TAIL: usize = 20;
const LINE: usize = 500;

/// Between two looks when no event comes; events may be skipped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Every node by its name.
#[derive(Clone, Default)]
pub struct Fleet {
    nodes: BTreeMap<String, Arc<dyn Engine>>,
}

impl Fleet {
    /// One host.
    pub fn of(node: impl Into<String>, engine: Arc<dyn Engine>) -> Self {
        Self { nodes: [(node.into(), engine)].into() }
    }

    /// What the nodes are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// Looks at every node at once.
    pub async fn observe(&self, depth: Depth) -> Result<Observation> {
        let looks = join_all(self.nodes.values().map(|engine| engine.observe(depth.clone()))).await;
        looks.into_iter().try_fold(Observation::default(), |all, one| Ok(joined(all, one?)))
    }

    /// Waits for a turn at every node; held until they are dropped.
    pub async fn turn(&self) -> Result<Vec<Turn>> {
        let turns = join_all(self.nodes.values().map(|engine| engine.turn())).await;
        turns.into_iter().collect()
    }

    /// Hands wishes over; what is refused is named in the error and stops none of the others.
    pub async fn assign(&self, wishes: &[Assignment]) -> Result<()> {
        if wishes.is_empty() {
            return Ok(());
        }
        let hands = join_all(self.nodes.values().map(|engine| engine.assign(wishes))).await;
        hands.into_iter().collect()
    }

    /// Takes away what nothing needs, on every node.
    pub async fn sweep(&self, sweep: &Sweep) -> Result<Swept> {
        let sweeps = join_all(self.nodes.values().map(|engine| engine.sweep(sweep))).await;
        sweeps.into_iter().try_fold(Swept::default(), |all, one| {
            let Swept { images, contents, bytes, waits } = one?;
            Ok(Swept {
                images: all.images.into_iter().chain(images).collect(),
                contents: all.contents + contents,
                bytes: all.bytes + bytes,
                waits: all.waits || waits,
            })
        })
    }

    /// What takes up how much room, on all nodes together.
    pub async fn usage(&self) -> Result<Usage> {
        let looks = join_all(self.nodes.values().map(|engine| engine.usage())).await;
        looks.into_iter().try_fold(Usage::default(), |mut all, one| {
            let Usage { images, tasks, volumes, contents } = one?;
            all.images += images;
            all.tasks.extend(tasks);
            volumes
                .into_iter()
                .for_each(|(name, bytes)| *all.volumes.entry(name).or_default() += bytes);
            all.contents += contents;
            Ok(all)
        })
    }

    /// Hints of all nodes.
    pub fn events(&self) -> BoxStream<'static, Event> {
        let all: SelectAll<_> = self.nodes.values().map(|engine| engine.events()).collect();
        all.boxed()
    }

    /// Opens a conversation with a task, on the node that knows it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        let mut answer = EngineError::NotFound { kind: "task", name: task.to_string() };
        for engine in self.nodes.values() {
            match engine.open(what.clone()).await {
                Err(error @ EngineError::NotFound { .. }) => answer = error,
                other => return other,
            }
        }
        Err(answer)
    }

    /// The last lines of a task's output, each cut to a length that can be read.
    pub async fn tail(&self, task: TaskId) -> Result<Vec<String>> {
        let options = LogOptions { tail: Some(TAIL as u64), ..LogOptions::default() };
        let mut logs = self.open(Open::Logs { task, options }).await?;
        let mut bytes = Vec::new();
        while let Some(frame) = logs.receive().await {
            match frame {
                Frame::Stdout(data) | Frame::Stderr(data) => bytes.extend(data),
                Frame::Exit(_) | Frame::Error(_) => break,
                _ => {}
            }
            if bytes.len() > TAIL * LINE {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(|line| line.chars().take(LINE).collect()).collect())
    }

    /// Looks again at each event until `found` finds something. `None` when it never does by
    /// `deadline`.
    pub async fn until<T>(
        &self,
        deadline: Option<Instant>,
        found: impl Fn(&Observation) -> Option<T>,
    ) -> Result<Option<T>> {
        let mut events = self.events();
        loop {
            if let Some(found) = found(&self.observe(Depth::State).await?) {
                return Ok(Some(found));
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(None);
            }
            let until = deadline.map_or(now + PATIENCE, |deadline| deadline.min(now + PATIENCE));
            next_by(&mut events, until).await;
        }
    }
}

/// Waits for an event, at most until then; events that came meanwhile are one.
pub(crate) async fn next_by(events: &mut BoxStream<'static, Event>, until: Instant) {
    if let Ok(None) = timeout_at(until, events.next()).await {
        // No events at all from this node: time alone leads on.
        tokio::time::sleep_until(until).await;
    }
    while let Some(Some(_)) = futures_util::FutureExt::now_or_never(events.next()) {}
}

fn joined(mut all: Observation, one: Observation) -> Observation {
    if all.node.is_empty() {
        return one;
    }
    all.at = all.at.max(one.at);
    // The fullest: it is the one that wants room.
    let fuller = |disk: &keel_engine::Disk| disk.percent();
    all.disk = all.disk.into_iter().chain(one.disk).max_by_key(fuller);
    all.tasks.extend(one.tasks);
    all.networks.extend(one.networks);
    all.volumes.extend(one.volumes);
    all.images.extend(one.images);
    all.foreign.extend(one.foreign);
    all.findings.extend(one.findings);
    all
}
