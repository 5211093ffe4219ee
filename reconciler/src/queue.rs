//! A queue of names to look at: hints, never commands.
//!
//! # Invariants
//! - A name is never looked at twice at once; a hint that comes meanwhile waits until it is done.
//! - Equal hints collapse, and the earliest time wins.
//! - Nothing is kept beyond the process: whoever starts puts every name on it again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Names, each with the time when it is to be looked at.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    ended: watch::Sender<bool>,
}

struct State<K> {
    due: BTreeMap<K, Instant>,
    running: BTreeSet<K>,
    closed: bool,
}

impl<K: Ord + Clone> Queue<K> {
    pub fn new() -> Self {
        let state = State { due: BTreeMap::new(), running: BTreeSet::new(), closed: false };
        Self { state: Mutex::new(state), changed: Notify::new(), ended: watch::Sender::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().expect("nothing panics while it holds the queue")
    }

    /// Look at it soon.
    pub fn hint(&self, name: K) {
        self.hint_in(name, Duration::ZERO);
    }

    /// Look at it then, or earlier.
    pub fn hint_in(&self, name: K, delay: Duration) {
        let at = Instant::now() + delay;
        let mut state = self.state();
        let due = state.due.entry(name).or_insert(at);
        *due = at.min(*due);
        drop(state);
        self.changed.notify_one();
    }

    /// No further name is given out.
    pub fn close(&self) {
        self.state().closed = true;
        self.ended.send_replace(true);
        self.changed.notify_one();
    }

    /// Returns once the queue is closed.
    pub async fn closed(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as the queue, so waiting never fails.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// The next name whose time has come; `None` once closed. It stays taken until `done`.
    async fn next(&self) -> Option<K> {
        loop {
            let soonest = match self.take() {
                Taken::Closed => return None,
                Taken::Name(name) => return Some(name),
                Taken::Wait(soonest) => soonest,
            };
            let far = Duration::from_secs(24 * 60 * 60);
            let at = soonest.unwrap_or_else(|| Instant::now() + far);
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(at) => {}
            }
        }
    }

    fn take(&self) -> Taken<K> {
        let mut state = self.state();
        if state.closed {
            return Taken::Closed;
        }
        let free = state.due.iter().filter(|(name, _)| !state.running.contains(*name));
        let soonest = free.min_by_key(|(_, at)| **at).map(|(name, at)| (name.clone(), *at));
        match soonest {
            Some((name, at)) if at <= Instant::now() => {
                state.due.remove(&name);
                state.running.insert(name.clone());
                Taken::Name(name)
            }
            other => Taken::Wait(other.map(|(_, at)| at)),
        }
    }

    fn done(&self, name: &K) {
        self.state().running.remove(name);
        self.changed.notify_one();
    }
}

enum Taken<K> {
    Closed,
    Name(K),
    Wait(Option<Instant>),
}

impl<K: Ord + Clone + Send + Sync + 'static> Queue<K> {
    /// Looks at every name in its time, several at once but never one twice, until the queue is
    /// closed; then waits for those under way. `look` says in what time to look again, if at all.
    pub async fn run<F>(self: std::sync::Arc<Self>, look: impl Fn(K) -> F)
    where
        F: Future<Output = Option<Duration>> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        while let Some(name) = self.next().await {
            while under_way.try_join_next().is_some() {}
            let (queue, looking) = (self.clone(), look(name.clone()));
            under_way.spawn(async move {
                let taken = TakenName { queue: &queue, name: &name };
                let again = looking.await;
                drop(taken);
                if let Some(delay) = again {
                    queue.hint_in(name, delay);
                }
            });
        }
        while under_way.join_next().await.is_some() {}
    }
}

/// Gives the name free also when the look panics, so that one bug does not end a stack's passes.
struct TakenName<'a, K: Ord + Clone> {
    queue: &'a Queue<K>,
    name: &'a K,
}

impl<K: Ord + Clone> Drop for TakenName<'_, K> {
    fn drop(&mut self) {
        self.queue.done(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::advance;

    async fn soon(queue: &Queue<&'static str>) -> Option<&'static str> {
        let wait = tokio::time::timeout(Duration::from_millis(1), queue.next());
        wait.await.ok().flatten()
    }

    #[tokio::test(start_paused = true)]
    async fn equal_hints_collapse() {
        let queue = Queue::new();
        queue.hint("a");
        queue.hint("a");
        assert_eq!(soon(&queue).await, Some("a"));
        queue.done(&"a");
        assert_eq!(soon(&queue).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_wins() {
        let queue = Queue::new();
        queue.hint_in("a", Duration::from_secs(10));
        queue.hint_in("a", Duration::from_secs(60));
        advance(Duration::from_secs(11)).await;
        assert_eq!(soon(&queue).await, Some("a"));
        queue.done(&"a");
        queue.hint_in("a", Duration::from_secs(60));
        queue.hint("a");
        assert_eq!(soon(&queue).await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_never_out_twice_at_once() {
        let queue = Queue::new();
        queue.hint("a");
        assert_eq!(soon(&queue).await, Some("a"));
        queue.hint("a");
        queue.hint("b");
        assert_eq!(soon(&queue).await, Some("b"), "others go on");
        assert_eq!(soon(&queue).await, None, "it is still taken");
        queue.done(&"a");
        assert_eq!(soon(&queue).await, Some("a"), "the hint was not lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_wakes_a_waiter() {
        let queue = Arc::new(Queue::new());
        let waiter = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.hint("a");
        assert_eq!(waiter.await.unwrap(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_panics_frees_its_name_and_one_that_asks_comes_again() {
        let queue = Arc::new(Queue::new());
        let looks = Arc::new(Mutex::new(0));
        queue.hint("a");
        let running = tokio::spawn(queue.clone().run({
            let (looks, queue) = (looks.clone(), queue.clone());
            move |_| {
                let (looks, queue) = (looks.clone(), queue.clone());
                async move {
                    *looks.lock().unwrap() += 1;
                    let turn = *looks.lock().unwrap();
                    match turn {
                        1 => {
                            queue.hint("a");
                            panic!("a bug in a look")
                        }
                        2 => Some(Duration::from_secs(5)),
                        _ => {
                            queue.close();
                            None
                        }
                    }
                }
            }
        }));
        running.await.unwrap();
        assert_eq!(*looks.lock().unwrap(), 3);
    }
}
