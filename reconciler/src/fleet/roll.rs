//! Who belongs to the fleet. Nodes join and leave while others work with those that were there.

use super::liveness::{Liveness, Roundup};
use super::member::{Member, Unheard};
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use keel_engine::{Engine, Event, NodeName, TaskId};
use keel_plan::pool::Pool;
use keel_plan::strays::Stray;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// News that wait for whoever hears them.
const NEWS: usize = 16;

/// Every node by its name.
pub(super) type Members = BTreeMap<NodeName, Arc<Member>>;

/// The nodes, and whoever listens to them.
pub(super) struct Roll {
    members: RwLock<Arc<Members>>,
    /// What is kept of the nodes, beside what they say.
    pool: RwLock<Arc<Pool>>,
    /// Which of them are given up.
    roundup: RwLock<Arc<Roundup>>,
    /// The silence after which that is so.
    pub(super) down_after: OnceLock<Duration>,
    /// Tasks on them that no stack on record accounts for.
    pub(super) strays: watch::Sender<BTreeMap<TaskId, Stray>>,
    /// Who belongs to the fleet changed, a node answers again, or is given up.
    news: broadcast::Sender<()>,
}

impl Roll {
    pub(super) fn new(members: Members) -> Self {
        Self {
            members: RwLock::new(Arc::new(members)),
            pool: RwLock::default(),
            roundup: RwLock::default(),
            down_after: OnceLock::new(),
            strays: watch::Sender::default(),
            news: broadcast::Sender::new(NEWS),
        }
    }

    /// Those who belong to it now.
    pub(super) fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is kept of the nodes now.
    pub(super) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this is kept of the nodes.
    pub(super) fn set_pool(&self, pool: Pool) {
        *self.pool.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pool);
        self.tell();
    }

    /// Which nodes are given up.
    pub(super) fn roundup(&self) -> Arc<Roundup> {
        Arc::clone(&self.roundup.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these are given up; whoever listens hears of it, if they are others than before.
    pub(super) fn note_liveness(&self, roundup: Roundup) {
        let mut held = self.roundup.write().unwrap_or_else(PoisonError::into_inner);
        if **held == roundup {
            return;
        }
        *held = Arc::new(roundup);
        drop(held);
        self.tell();
    }

    /// Whether a node is given up, by what was heard or by a person's word.
    pub(super) fn is_down(&self, name: &NodeName) -> bool {
        let heard = self.roundup().nodes.get(name).copied().unwrap_or_default();
        heard == Liveness::Down || self.pool().facts(name).dead.is_some()
    }

    /// From now on this engine speaks for the node; what is remembered of the node stays.
    pub(super) fn join(&self, name: NodeName, engine: Arc<dyn Engine>, unheard: Option<Unheard>) {
        self.change(|members| {
            let member = match members.get(&name) {
                Some(before) => before.with_engine(engine, unheard),
                None => Member::new(engine, unheard),
            };
            members.insert(name, Arc::new(member));
        });
    }

    /// From now on there is no such node.
    pub(super) fn leave(&self, name: &NodeName) {
        self.change(|members| drop(members.remove(name)));
    }

    fn change(&self, change: impl FnOnce(&mut Members)) {
        let mut held = self.members.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut held));
        drop(held);
        self.tell();
    }

    /// Whoever listens looks again.
    pub(super) fn tell(&self) {
        // Nobody may listen.
        let _ = self.news.send(());
    }

    /// Hints of all nodes, also of those that join later; ends with the roll.
    pub(super) fn events(self: &Arc<Self>) -> BoxStream<'static, Event> {
        let mut ears = Ears {
            news: self.news.subscribe(),
            roll: Arc::downgrade(self),
            heard: SelectAll::new(),
            numbers: BTreeSet::new(),
        };
        ears.turn_to(&self.members());
        futures_util::stream::unfold(ears, |mut ears| async move {
            let event = ears.next().await?;
            Some((event, ears))
        })
        .boxed()
    }
}

/// Somebody who listens.
struct Ears {
    news: broadcast::Receiver<()>,
    roll: Weak<Roll>,
    heard: SelectAll<BoxStream<'static, Event>>,
    /// Who is listened to already.
    numbers: BTreeSet<u64>,
}

impl Ears {
    fn turn_to(&mut self, members: &Members) {
        for member in members.values() {
            if self.numbers.insert(member.number) {
                self.heard.push(member.engine.events());
            }
        }
    }

    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            news = self.news.recv() => {
                if matches!(news, Err(broadcast::error::RecvError::Closed)) {
                    return None;
                }
                self.turn_to(&self.roll.upgrade()?.members());
                Some(Event::Missed)
            }
            // One that has nothing more to say is nobody's end.
            Some(event) = self.heard.next(), if !self.heard.is_empty() => Some(event),
        }
    }
}
