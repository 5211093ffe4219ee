//! The nodes: a map from name to engine. One host is a map of one.
//!
//! # Invariants
//! - Each node is asked and told for itself: one that is silent is unknown, and delays or fails nothing
//!   that concerns the others.
//! - A wish goes to the node that it names, and to no other.

use crate::clock::Clock;
use crate::refusal::with_causes;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, SelectAll, Stream, StreamExt};
use keel_engine::frames::Frame;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, LogOptions, NodeName, NodeReport, Nodes,
    Observation, Open, Result, Sweep, Swept, TaskId, Thing, Turn, Usage, Wish,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout, timeout_at};

/// Lines of output that are kept of what failed, and the characters of each.
const TAIL: usize = 20;
const LINE: usize = 500;

/// Between two looks when no event comes; events may be skipped.
const PATIENCE: Duration = Duration::from_secs(1);

/// A node that has not answered by then is silent. The only one is given all the time that it needs.
const ANSWER: Duration = Duration::from_secs(10);

/// Looking at every file takes longer.
const COUNTING: Duration = Duration::from_secs(300);

/// Hints that wait for whoever hears them.
const HINTS: usize = 16;

/// Every node by its name.
#[derive(Clone)]
pub struct Fleet {
    home: NodeName,
    nodes: Arc<BTreeMap<NodeName, Arc<Node>>>,
    /// Nodes that answer again.
    told: broadcast::Sender<Event>,
}

/// One node, and what is remembered of it.
struct Node {
    engine: Arc<dyn Engine>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    last: Option<Arc<Observation>>,
    silent: Option<Silence>,
}

/// A node that does not answer: somebody goes on asking it, and everybody else goes on without it.
#[derive(Clone)]
struct Silence {
    /// Milliseconds since the Unix epoch.
    since: u64,
    why: String,
}

impl Fleet {
    /// One host.
    pub fn of(node: NodeName, engine: Arc<dyn Engine>) -> Self {
        Self::new(node.clone(), [(node, engine)])
    }

    /// Several, one of which is the controller's own.
    pub fn new(
        home: NodeName,
        nodes: impl IntoIterator<Item = (NodeName, Arc<dyn Engine>)>,
    ) -> Self {
        let node = |engine| Arc::new(Node { engine, memory: Mutex::default() });
        let nodes = nodes.into_iter().map(|(name, engine)| (name, node(engine))).collect();
        Self { home, nodes: Arc::new(nodes), told: broadcast::Sender::new(HINTS) }
    }

    /// The controller's own node.
    pub fn home(&self) -> &NodeName {
        &self.home
    }

    /// What the nodes are called.
    pub fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.keys()
    }

    /// Looks at every node at once. An error is that of the only node, or of the controller's own where
    /// none answers at all: there is nothing to go by then.
    pub async fn observe(&self, depth: Depth) -> Result<Nodes> {
        let looks = self.nodes.iter().map(|(name, node)| self.look(name, node, depth.clone()));
        let mut reports = BTreeMap::new();
        let mut errors = BTreeMap::new();
        for (name, (report, error)) in self.nodes.keys().zip(join_all(looks).await) {
            reports.insert(name.clone(), report);
            errors.extend(error.map(|error| (name, error)));
        }
        let answered = reports.values().any(|report| report.known().is_some());
        let worst =
            errors.remove(&self.home).or_else(|| errors.pop_first().map(|(_, error)| error));
        let nobody = || EngineError::failed("no node can be observed", "none of them answers");
        match answered || self.nodes.is_empty() {
            true => Ok(Nodes { home: self.home.clone(), reports }),
            false => Err(worst.unwrap_or_else(nobody)),
        }
    }

    /// Nodes that are not known to be silent. The only one is asked in any case.
    fn speaking(&self) -> impl Iterator<Item = (&NodeName, &Arc<Node>)> {
        let alone = self.nodes.len() == 1;
        self.nodes.iter().filter(move |(_, node)| alone || node.silence().is_none())
    }

    /// What one node answers. One that is silent already is asked apart, so that nobody waits for it.
    async fn look(
        &self,
        name: &NodeName,
        node: &Arc<Node>,
        depth: Depth,
    ) -> (NodeReport, Option<EngineError>) {
        let alone = self.nodes.len() == 1;
        if let Some(report) = node.silence().filter(|_| !alone) {
            return (report, None);
        }
        let answer = match alone {
            true => node.engine.observe(depth).await,
            false => node.answer(name, depth).await,
        };
        match answer {
            Ok(observation) => (node.spoke(observation), None),
            Err(error) => {
                let (report, first) = node.fell_silent(&error);
                if first && !alone {
                    self.ask_on(name.clone(), node.clone());
                }
                (report, Some(error))
            }
        }
    }

    /// Asks a silent node until it answers, or nobody has the fleet any more.
    fn ask_on(&self, name: NodeName, node: Arc<Node>) {
        let (node, told) = (Arc::downgrade(&node), self.told.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(PATIENCE).await;
                let Some(node) = node.upgrade() else { return };
                if let Ok(observation) = node.answer(&name, Depth::State).await {
                    node.spoke(observation);
                    // Nobody may listen.
                    let _ = told.send(Event::Missed);
                    return;
                }
            }
        });
    }

    /// The controller's own node, and those of which this was so when they were last looked at.
    pub fn touched(&self, has: impl Fn(&Observation) -> bool) -> BTreeSet<NodeName> {
        let remembered = |node: &Node| node.memory().last.clone();
        let away = self.nodes.iter().filter(|(_, node)| remembered(node).is_some_and(|l| has(&l)));
        away.map(|(name, _)| name.clone()).chain([self.home.clone()]).collect()
    }

    /// Waits for a turn at these nodes; held until they are dropped. One that does not answer gives
    /// none, and is told nothing.
    pub async fn turn(&self, at: &BTreeSet<NodeName>) -> Result<Turns> {
        let nodes = self.speaking().filter(|(name, _)| at.contains(*name));
        let turns = nodes.map(|(name, node)| async move {
            match self.nodes.len() {
                1 => (name, Some(Turn::take(Arc::clone(&node.engine)).await)),
                // Others may have it for as long as that.
                _ => (name, timeout(COUNTING, Turn::take(Arc::clone(&node.engine))).await.ok()),
            }
        });
        let mut held = BTreeMap::new();
        for (name, turn) in join_all(turns).await {
            match turn {
                Some(Ok(turn)) => drop(held.insert(name.clone(), turn)),
                // Whoever drives the controller's own node drives all of them.
                Some(Err(error)) if *name == self.home => return Err(error),
                Some(Err(_)) | None => {}
            }
        }
        Ok(Turns(held))
    }

    /// The same at every node.
    pub async fn turn_everywhere(&self) -> Result<Turns> {
        self.turn(&self.nodes.keys().cloned().collect()).await
    }

    /// Hands wishes over, each to its node and in order; what is refused is named in the error and stops
    /// none of the others.
    pub async fn assign(&self, wishes: &[Wish]) -> Result<()> {
        self.hand_over(None, wishes).await
    }

    /// The same under turns that are held: a node that somebody else has driven since refuses.
    pub async fn assign_under(&self, turns: &Turns, wishes: &[Wish]) -> Result<()> {
        self.hand_over(Some(turns), wishes).await
    }

    async fn hand_over(&self, turns: Option<&Turns>, wishes: &[Wish]) -> Result<()> {
        let mut of: BTreeMap<&NodeName, Vec<Assignment>> = BTreeMap::new();
        for wish in wishes {
            of.entry(&wish.node).or_default().push(wish.what.clone());
        }
        let turn = |name: &NodeName| turns.and_then(|turns| turns.0.get(name));
        let hands = of.iter().map(|(name, wishes)| self.assign_to(name, turn(name), wishes));
        join_all(hands).await.into_iter().collect()
    }

    async fn assign_to(
        &self,
        name: &NodeName,
        turn: Option<&Turn>,
        wishes: &[Assignment],
    ) -> Result<()> {
        match (self.nodes.get(name), turn) {
            (Some(node), Some(turn)) => node.engine.assign_under(turn.lease(), wishes).await,
            (Some(node), None) => node.engine.assign(wishes).await,
            (None, _) => Err(EngineError::NotFound { kind: Thing::Node, name: name.to_string() }),
        }
    }

    /// The same wishes for every node that speaks.
    pub async fn assign_everywhere(&self, wishes: &[Assignment]) -> Result<()> {
        if wishes.is_empty() {
            return Ok(());
        }
        let hands = self.speaking().map(|(name, node)| async move {
            match node.engine.assign(wishes).await {
                // One that has fallen silent since keeps nobody else from going on.
                Err(_) if *name != self.home && node.answer(name, Depth::State).await.is_err() => {
                    Ok(())
                }
                other => other,
            }
        });
        join_all(hands).await.into_iter().collect()
    }

    /// Takes away what nothing needs, on each of these nodes; under turns, where they are held.
    pub async fn sweep(
        &self,
        turns: Option<&Turns>,
        sweeps: &BTreeMap<NodeName, Sweep>,
    ) -> Result<BTreeMap<NodeName, Swept>> {
        let there =
            sweeps.iter().filter_map(|(name, sweep)| Some((name, self.nodes.get(name)?, sweep)));
        let sweeps = there.map(|(name, node, sweep)| async move {
            let swept = match turns.and_then(|turns| turns.0.get(name)) {
                Some(turn) => node.engine.sweep_under(turn.lease(), sweep).await?,
                None => node.engine.sweep(sweep).await?,
            };
            Ok((name.clone(), swept))
        });
        join_all(sweeps).await.into_iter().collect()
    }

    /// What takes up how much room, on each node that answers.
    pub async fn usage(&self) -> Result<BTreeMap<NodeName, Usage>> {
        let looks = self.speaking().map(|(name, node)| async move {
            (name, timeout(COUNTING, node.engine.usage()).await)
        });
        let mut all = BTreeMap::new();
        for (name, answer) in join_all(looks).await {
            match answer {
                Ok(Ok(usage)) => drop(all.insert(name.clone(), usage)),
                Ok(Err(error)) if *name == self.home => return Err(error),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Ok(all)
    }

    /// Hints of all nodes.
    pub fn events(&self) -> BoxStream<'static, Event> {
        let mut all: SelectAll<_> = self.nodes.values().map(|node| node.engine.events()).collect();
        all.push(hints(self.told.subscribe()).boxed());
        all.boxed()
    }

    /// Opens a conversation with a task, on the node that has it; where none was seen with it, on
    /// whichever knows it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        let has =
            |node: &&Arc<Node>| node.memory().last.as_ref().is_some_and(|l| l.task(task).is_some());
        if let Some(node) = self.nodes.values().find(has) {
            match node.engine.open(what.clone()).await {
                Err(EngineError::NotFound { .. }) => {}
                other => return other,
            }
        }
        let mut answer = EngineError::NotFound { kind: Thing::Task, name: task.to_string() };
        for (name, node) in self.nodes.iter() {
            match node.engine.open(what.clone()).await {
                Err(error @ EngineError::NotFound { .. }) => answer = error,
                // What a silent node would say is not known.
                Err(_) if *name != self.home => {}
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
        found: impl Fn(&Nodes) -> Option<T>,
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

/// What the fleet itself has to tell; ends with it.
fn hints(heard: broadcast::Receiver<Event>) -> impl Stream<Item = Event> {
    futures_util::stream::unfold(heard, |mut heard| async move {
        match heard.recv().await {
            Ok(event) => Some((event, heard)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some((Event::Missed, heard)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}

/// Turns at nodes, by their names.
pub struct Turns(BTreeMap<NodeName, Turn>);

impl Node {
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, name: &NodeName, depth: Depth) -> Result<Observation> {
        let look = timeout(ANSWER, self.engine.observe(depth)).await;
        look.unwrap_or_else(|late| Err(EngineError::failed(format!("node {name} is silent"), late)))
    }

    /// What is known of it, while it is silent.
    fn silence(&self) -> Option<NodeReport> {
        let memory = self.memory();
        let Silence { since, why } = memory.silent.clone()?;
        Some(NodeReport::Unknown { since, why, last: memory.last.clone() })
    }

    fn spoke(&self, observation: Observation) -> NodeReport {
        let observation = Arc::new(observation);
        *self.memory() = Memory { last: Some(observation.clone()), silent: None };
        NodeReport::Known(observation)
    }

    /// What is known of it from now on, and whether it spoke until now.
    fn fell_silent(&self, error: &EngineError) -> (NodeReport, bool) {
        let mut memory = self.memory();
        let first = memory.silent.is_none();
        let since = memory.silent.as_ref().map_or_else(|| Clock::system().now(), |one| one.since);
        let why = with_causes(error);
        memory.silent = Some(Silence { since, why: why.clone() });
        (NodeReport::Unknown { since, why, last: memory.last.clone() }, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_engine::{Presence, PullPolicy};
    use keel_testing::fake::Fake;

    #[tokio::test]
    async fn what_is_decided_in_a_turn_that_is_over_is_not_done() {
        let (name, fake) = (NodeName::new("one"), Arc::new(Fake::new("one")));
        let fleet = Fleet::of(name.clone(), fake.clone());
        let (reference, policy) = ("app:1".to_owned(), PullPolicy::Missing);
        let what = Assignment::Image { reference, policy, wanted: Presence::Present };
        let wishes = [Wish { node: name.clone(), what }];
        let sweeps = [(name, Sweep::default())].into();
        let turns = fleet.turn_everywhere().await.unwrap();
        fleet.assign_under(&turns, &[]).await.unwrap();
        fake.take_over();
        let refused = fleet.assign_under(&turns, &wishes).await;
        assert!(matches!(refused, Err(EngineError::Driven { .. })), "{refused:?}");
        let refused = fleet.sweep(Some(&turns), &sweeps).await;
        assert!(matches!(refused, Err(EngineError::Driven { .. })), "{refused:?}");
        assert!(fake.observe(Depth::State).await.unwrap().images.is_empty());
        let turns = fleet.turn_everywhere().await.unwrap();
        fleet.assign_under(&turns, &wishes).await.unwrap();
        assert_eq!(fake.leases().len(), 1);
        drop(turns);
        assert_eq!(fake.leases(), [], "a turn that is dropped is given back");
    }
}
