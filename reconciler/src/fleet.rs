//! The nodes: a map from name to engine. One host is a map of one.
//!
//! # Invariants
//! - Each node is asked and told for itself: one that is silent is unknown, and delays or fails nothing
//!   that concerns the others.
//! - A wish goes to the node that it names, and to no other.

mod liveness;
mod logins;
mod lookout;
mod member;
mod provision;
mod roll;

pub use liveness::{DOWN_AFTER, Liveness, Moment};
pub use logins::pulls;
pub use lookout::Uptime;
pub use member::Unheard;

use futures_util::future::join_all;
use futures_util::stream::{BoxStream, StreamExt};
use keel_engine::frames::Frame;
use keel_engine::{
    Assignment, Depth, Duplex, Engine, EngineError, Event, LogOptions, NodeName, NodeReport, Nodes,
    Observation, Open, Result, Sweep, Swept, TaskId, Thing, Turn, Usage, Wish,
};
use keel_plan::pool::Pool;
use keel_plan::strays::Stray;
use member::Member;
pub use provision::needs;
use roll::{Members, Roll};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Lines of output that are kept of what failed, and the characters of each.
const TAIL: usize = 20;
const LINE: usize = 500;

/// Between two looks when no event comes; events may be skipped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looking at every file takes longer.
const COUNTING: Duration = Duration::from_secs(300);

/// Every node by its name.
#[derive(Clone)]
pub struct Fleet {
    home: NodeName,
    roll: Arc<Roll>,
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
        let member = |engine| Arc::new(Member::new(engine, None));
        let members = nodes.into_iter().map(|(name, engine)| (name, member(engine))).collect();
        Self { home, roll: Arc::new(Roll::new(members)) }
    }

    /// From now on this engine speaks for the node of this name, which may be new.
    pub fn join(&self, name: NodeName, engine: Arc<dyn Engine>) {
        self.roll.join(name, engine, None);
    }

    /// The same of an engine whose connection knows when it was heard last.
    pub fn join_heard(&self, name: NodeName, engine: Arc<dyn Engine>, unheard: Unheard) {
        self.roll.join(name, engine, Some(unheard));
    }

    /// How a node is, as far as it is heard.
    pub fn liveness(&self, name: &NodeName) -> Liveness {
        match self.members().get(name).and_then(|node| node.unheard_for()) {
            None => Liveness::Ready,
            Some(_) if self.roll.is_down(name) => Liveness::Down,
            Some(_) => Liveness::Unknown,
        }
    }

    /// Since when a node has not answered, in milliseconds since the Unix epoch, and what came instead.
    pub fn silence(&self, name: &NodeName) -> Option<(u64, String)> {
        match self.members().get(name)?.silence(false)? {
            NodeReport::Unknown { since, why, .. } => Some((since, why)),
            NodeReport::Known(_) => None,
        }
    }

    /// The volumes with names that a node had when it was seen last.
    pub fn volumes_on(&self, name: &NodeName) -> Vec<String> {
        let last = self.members().get(name).and_then(|node| node.last());
        let volumes = last.iter().flat_map(|seen| &seen.volumes).filter(|one| !one.anonymous);
        volumes.map(|volume| volume.spec.name.clone()).collect()
    }

    /// Whether all other nodes fell silent together, so that it may be the controller that is cut off.
    pub fn is_isolated(&self) -> bool {
        self.roll.roundup().is_isolated
    }

    /// The silence after which a node is given up; `None` while nobody watches over the nodes.
    pub fn down_after(&self) -> Option<Duration> {
        self.roll.down_after.get().copied()
    }

    /// Tasks that nodes bring along and no stack on record accounts for, as they come and go.
    pub fn strays(&self) -> watch::Receiver<BTreeMap<TaskId, Stray>> {
        self.roll.strays.subscribe()
    }

    /// From now on there are these.
    pub(crate) fn note_strays(&self, strays: BTreeMap<TaskId, Stray>) {
        self.roll.strays.send_if_modified(|held| {
            let news = *held != strays;
            *held = strays;
            news
        });
    }

    /// Decides for ever which silent nodes are given up after this time.
    pub async fn watch_over(&self, uptime: Uptime, down_after: Duration) -> Infallible {
        // Whoever watches over them first says so.
        let _ = self.roll.down_after.set(down_after);
        lookout::watch_over(&self.roll, &self.home, uptime, down_after).await
    }

    /// From now on there is no node of this name, and what was on it is nobody's.
    pub fn leave(&self, name: &NodeName) {
        self.roll.leave(name);
    }

    /// What is kept of the nodes, beside what they say: where tasks may be placed.
    pub fn pool(&self) -> Arc<Pool> {
        self.roll.pool()
    }

    /// From now on this is kept of the nodes.
    pub fn set_pool(&self, pool: Pool) {
        self.roll.set_pool(pool);
    }

    fn members(&self) -> Arc<Members> {
        self.roll.members()
    }

    /// The controller's own node.
    pub fn home(&self) -> &NodeName {
        &self.home
    }

    /// What the nodes are called.
    pub fn names(&self) -> Vec<NodeName> {
        self.members().keys().cloned().collect()
    }

    /// Looks at every node at once. An error is that of the only node, or of the controller's own where
    /// none answers at all: there is nothing to go by then.
    pub async fn observe(&self, depth: Depth) -> Result<Nodes> {
        let members = self.members();
        let alone = members.len() == 1;
        let looks = members.iter().map(|(name, node)| self.look(name, node, depth.clone(), alone));
        let mut reports = BTreeMap::new();
        let mut errors = BTreeMap::new();
        for (name, (report, error)) in members.keys().zip(join_all(looks).await) {
            reports.insert(name.clone(), report);
            errors.extend(error.map(|error| (name, error)));
        }
        let answered = reports.values().any(|report| report.known().is_some());
        let worst =
            errors.remove(&self.home).or_else(|| errors.pop_first().map(|(_, error)| error));
        let nobody = || EngineError::failed("no node can be observed", "none of them answers");
        match answered || members.is_empty() {
            true => Ok(Nodes { home: self.home.clone(), reports }),
            false => Err(worst.unwrap_or_else(nobody)),
        }
    }

    /// Nodes that are not known to be silent. The only one is asked in any case.
    fn speaking(&self) -> Members {
        let mut members = Members::clone(&self.members());
        if members.len() > 1 {
            members.retain(|_, node| node.silence(false).is_none());
        }
        members
    }

    /// What one node answers. One that is silent already is asked apart, so that nobody waits for it.
    async fn look(
        &self,
        name: &NodeName,
        node: &Arc<Member>,
        depth: Depth,
        alone: bool,
    ) -> (NodeReport, Option<EngineError>) {
        let is_down = self.roll.is_down(name);
        if let Some(report) = node.silence(is_down).filter(|_| !alone) {
            return (report, None);
        }
        let answer = match alone {
            true => node.engine.observe(depth).await,
            false => node.answer(name, depth).await,
        };
        match answer {
            Ok(observation) => (node.spoke(observation), None),
            Err(error) => {
                let (report, first) = node.fell_silent(&error, is_down);
                if first && !alone {
                    self.ask_on(name.clone(), node.clone());
                }
                (report, Some(error))
            }
        }
    }

    /// Asks a silent node until it answers, or nobody has the fleet any more.
    fn ask_on(&self, name: NodeName, node: Arc<Member>) {
        let (node, roll) = (Arc::downgrade(&node), Arc::downgrade(&self.roll));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(PATIENCE).await;
                let Some(node) = node.upgrade() else { return };
                if let Ok(observation) = node.answer(&name, Depth::State).await {
                    node.spoke(observation);
                    if let Some(roll) = roll.upgrade() {
                        roll.tell();
                    }
                    return;
                }
            }
        });
    }

    /// The controller's own node, and those of which this was so when they were last looked at.
    pub fn touched(&self, has: impl Fn(&Observation) -> bool) -> BTreeSet<NodeName> {
        let members = self.members();
        let away = members.iter().filter(|(_, node)| node.last().is_some_and(|last| has(&last)));
        away.map(|(name, _)| name.clone()).chain([self.home.clone()]).collect()
    }

    /// Waits for a turn at these nodes; held until they are dropped. One that does not answer gives
    /// none, and is told nothing.
    pub async fn turn(&self, at: &BTreeSet<NodeName>) -> Result<Turns> {
        let (speaking, alone) = (self.speaking(), self.members().len() == 1);
        let nodes = speaking.iter().filter(|(name, _)| at.contains(*name));
        let turns = nodes.map(|(name, node)| async move {
            match alone {
                true => (name, Some(Turn::take(Arc::clone(&node.engine)).await)),
                // Others may have it for as long as that.
                false => (name, timeout(COUNTING, Turn::take(Arc::clone(&node.engine))).await.ok()),
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
        self.turn(&self.members().keys().cloned().collect()).await
    }

    /// Hands wishes over, each to its node and in order; what is refused is named in the error and stops
    /// none of the others.
    pub async fn assign(&self, wishes: &[Wish]) -> Result<()> {
        self.hand_over(None, wishes).await
    }

    /// The same under turns that are held: a node that somebody else has driven since refuses, and one that gave no
    /// turn is told nothing, since what it was when this was decided may be over.
    pub async fn assign_under(&self, turns: &Turns, wishes: &[Wish]) -> Result<()> {
        self.hand_over(Some(turns), wishes).await
    }

    async fn hand_over(&self, turns: Option<&Turns>, wishes: &[Wish]) -> Result<()> {
        let mut of: BTreeMap<&NodeName, Vec<Assignment>> = BTreeMap::new();
        for wish in wishes {
            of.entry(&wish.node).or_default().push(wish.what.clone());
        }
        let hands = of.iter().map(|(name, wishes)| async move {
            let turn = turns.map(|turns| turns.0.get(name).ok_or_else(|| no_turn(name)));
            self.assign_to(name, turn.transpose()?, wishes).await
        });
        join_all(hands).await.into_iter().collect()
    }

    async fn assign_to(
        &self,
        name: &NodeName,
        turn: Option<&Turn>,
        wishes: &[Assignment],
    ) -> Result<()> {
        match (self.members().get(name), turn) {
            (Some(node), Some(turn)) => node.engine.assign_under(turn.lease(), wishes).await,
            (Some(node), None) => node.engine.assign(wishes).await,
            (None, _) => Err(EngineError::NotFound { kind: Thing::Node, name: name.to_string() }),
        }
    }

    /// Takes away what nothing needs, on each of these nodes; under turns, where they are held.
    pub async fn sweep(
        &self,
        turns: Option<&Turns>,
        sweeps: &BTreeMap<NodeName, Sweep>,
    ) -> Result<BTreeMap<NodeName, Swept>> {
        let members = self.members();
        let there =
            sweeps.iter().filter_map(|(name, sweep)| Some((name, members.get(name)?, sweep)));
        let sweeps = there.map(|(name, node, sweep)| async move {
            let swept = match turns.and_then(|turns| turns.0.get(name)) {
                Some(turn) => node.engine.sweep_under(turn.lease(), sweep).await?,
                None => node.engine.sweep(sweep).await?,
            };
            node.was_swept();
            Ok((name.clone(), swept))
        });
        join_all(sweeps).await.into_iter().collect()
    }

    /// What takes up how much room, on each node that answers.
    pub async fn usage(&self) -> Result<BTreeMap<NodeName, Usage>> {
        let speaking = self.speaking();
        let looks = speaking.iter().map(|(name, node)| async move {
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
        self.roll.events()
    }

    /// Opens a conversation with a task, on the node that has it; where none was seen with it, on
    /// whichever knows it.
    pub async fn open(&self, what: Open) -> Result<Box<dyn Duplex>> {
        let (Open::Logs { task, .. }
        | Open::Exec { task, .. }
        | Open::Attach { task, .. }
        | Open::Signal { task, .. }) = &what;
        let members = self.members();
        let has = |node: &&Arc<Member>| node.last().is_some_and(|last| last.task(task).is_some());
        if let Some(node) = members.values().find(has) {
            match node.engine.open(what.clone()).await {
                Err(EngineError::NotFound { .. }) => {}
                other => return other,
            }
        }
        let mut answer = EngineError::NotFound { kind: Thing::Task, name: task.to_string() };
        for (name, node) in members.iter() {
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
    next_of(events, until, |_| true).await;
}

/// The same for an event that concerns whoever waits.
pub(crate) async fn next_of(
    events: &mut BoxStream<'static, Event>,
    until: Instant,
    concerns: impl Fn(&Event) -> bool,
) {
    loop {
        match timeout_at(until, events.next()).await {
            Ok(Some(event)) if !concerns(&event) => {}
            Ok(Some(_)) | Err(_) => break,
            // No events at all from this node: time alone leads on.
            Ok(None) => {
                tokio::time::sleep_until(until).await;
                break;
            }
        }
    }
    while let Some(Some(_)) = futures_util::FutureExt::now_or_never(events.next()) {}
}

fn no_turn(name: &NodeName) -> EngineError {
    let what = format!("node {name} is told nothing in this pass");
    EngineError::failed(what, "it did not answer when it was asked for its turn")
}

/// Turns at nodes, by their names.
pub struct Turns(BTreeMap<NodeName, Turn>);

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

    #[tokio::test]
    async fn a_node_that_gave_no_turn_is_told_nothing_though_it_answers_by_now() {
        let far = Arc::new(Fake::new("two"));
        let fleet = Fleet::of("one".into(), Arc::new(Fake::new("one")));
        fleet.join("two".into(), far.clone());
        far.silence(true);
        let turns = fleet.turn_everywhere().await.unwrap();
        far.silence(false);
        let (reference, policy) = ("app:1".to_owned(), PullPolicy::Missing);
        let what = Assignment::Image { reference, policy, wanted: Presence::Present };
        let refused = fleet.assign_under(&turns, &[Wish { node: "two".into(), what }]).await;
        assert!(refused.is_err());
        assert!(far.observe(Depth::State).await.unwrap().images.is_empty());
    }

    #[tokio::test]
    async fn who_joins_is_seen_and_heard_and_who_leaves_is_not() {
        let (one, two) = (NodeName::new("one"), NodeName::new("two"));
        let fleet = Fleet::of(one.clone(), Arc::new(Fake::new("one")));
        let mut events = fleet.events();
        let far = Arc::new(Fake::new("two"));
        fleet.join(two.clone(), far.clone());
        assert_eq!(events.next().await, Some(Event::Missed), "there may be anything on it");
        let seen = fleet.observe(Depth::State).await.unwrap();
        assert!(seen.known(&one).is_some() && seen.known(&two).is_some(), "{seen:?}");
        let (reference, policy) = ("app:1".to_owned(), PullPolicy::Missing);
        far.assign(&[Assignment::Image { reference, policy, wanted: Presence::Present }])
            .await
            .unwrap();
        let heard = timeout(Duration::from_secs(60), events.next()).await;
        assert!(matches!(heard, Ok(Some(_))), "what happens there is told: {heard:?}");
        fleet.leave(&two);
        let seen = fleet.observe(Depth::State).await.unwrap();
        assert_eq!(seen.reports.keys().collect::<Vec<_>>(), [&one]);
    }

    #[tokio::test]
    async fn what_a_node_said_last_outlives_its_connection() {
        let (one, two) = (NodeName::new("one"), NodeName::new("two"));
        let fleet = Fleet::of(one.clone(), Arc::new(Fake::new("one")));
        fleet.join(two.clone(), Arc::new(Fake::new("two")));
        fleet.observe(Depth::State).await.unwrap();
        let gone = Arc::new(Fake::new("two"));
        gone.silence(true);
        fleet.join(two.clone(), gone);
        let seen = fleet.observe(Depth::State).await.unwrap();
        let report = &seen.reports[&two];
        assert!(
            matches!(report, NodeReport::Unknown { last: Some(last), .. } if last.node == two),
            "{report:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_given_up_in_time_and_taken_back_when_it_answers() {
        let [one, two, three] = ["one", "two", "three"].map(NodeName::new);
        let fleet = Fleet::of(one, Arc::new(Fake::new("one")));
        let far = Arc::new(Fake::new("two"));
        fleet.join(two.clone(), far.clone());
        fleet.join(three.clone(), Arc::new(Fake::new("three")));
        let (begun, watched) = (Instant::now(), fleet.clone());
        let up = move || Moment { boot: begun.elapsed(), awake: begun.elapsed() };
        let watching =
            tokio::spawn(async move { watched.watch_over(Uptime::new(up), DOWN_AFTER).await });
        let since = |seen: &Nodes| seen.silent(&two).map(|silent| silent.is_down);
        far.silence(true);
        fleet.until(None, |seen| since(seen)).await.unwrap();
        let fell = Instant::now();
        assert_eq!(fleet.liveness(&two), Liveness::Unknown);
        fleet.until(None, |seen| since(seen).filter(|is_down| *is_down)).await.unwrap();
        assert!((15..=16).contains(&fell.elapsed().as_secs()), "{:?}", fell.elapsed());
        assert_eq!(fleet.liveness(&two), Liveness::Down);
        assert_eq!(fleet.liveness(&three), Liveness::Ready);
        far.silence(false);
        fleet.until(None, |seen| seen.known(&two).map(drop)).await.unwrap();
        assert_eq!(fleet.liveness(&two), Liveness::Ready);
        watching.abort();
    }
}
