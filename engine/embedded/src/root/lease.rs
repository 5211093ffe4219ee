//! A root's lock by turns: held while there is something to do, and no longer. What others are granted of it
//! as [`keel_engine::Lease`] is in `granted.rs`.
//!
//! # Invariants
//! - Whoever changes something below the root has a [`Turn`]; the lock is let go with the last of a
//!   process's turns, so that others get theirs while only health or an exit is awaited.
//! - A `keel serve` keeps the lock for life: whoever finds it there changes nothing any more.

use crate::Layout;
use crate::root::lock::{Holder, LockError, RootLock};
use keel_engine::{EngineError, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Between two tries at a lock that somebody else holds: waiting in the kernel for it could not be
/// given up when a `keel serve` got it.
const AGAIN: Duration = Duration::from_millis(50);
/// Shorter waits are nobody's business.
const WORTH_TELLING: Duration = Duration::from_millis(500);

/// The right to take turns at a root. All clones share their turns.
#[derive(Clone)]
pub struct RootLease(Arc<Shared>);

struct Shared {
    layout: Layout,
    who: String,
    tell: Box<dyn Fn(&Holder) + Send + Sync>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    turns: usize,
    lock: Option<RootLock>,
}

/// While this is there, nobody else changes what is below the root.
pub struct Turn(Arc<Shared>);

impl RootLease {
    /// For a process that is called `who`; whom it waits for, if for long, is told. It begins with a
    /// turn.
    #[must_use]
    pub fn new(
        layout: &Layout,
        who: &str,
        lock: RootLock,
        tell: impl Fn(&Holder) + Send + Sync + 'static,
    ) -> (Self, Turn) {
        let shared = Arc::new(Shared {
            layout: layout.clone(),
            who: who.to_owned(),
            tell: Box::new(tell),
            held: Mutex::new(Held { turns: 1, lock: Some(lock) }),
        });
        (Self(Arc::clone(&shared)), Turn(shared))
    }

    /// Waits for a turn. Refused once another drives the root for good.
    pub async fn turn(&self) -> Result<Turn> {
        let (began, mut told) = (Instant::now(), false);
        loop {
            match self.try_turn() {
                Ok(turn) => return Ok(turn),
                Err(LockError::Held { holder, .. }) if holder.stays() => {
                    return Err(EngineError::Driven { by: holder.to_string() });
                }
                Err(LockError::Held { holder, .. }) => {
                    if began.elapsed() > WORTH_TELLING && !std::mem::replace(&mut told, true) {
                        (self.0.tell)(&holder);
                    }
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(EngineError::failed("cannot lock the root", error)),
            }
        }
    }

    fn try_turn(&self) -> std::result::Result<Turn, LockError> {
        let mut held = self.0.held();
        if held.turns == 0 {
            held.lock = Some(RootLock::acquire(&self.0.layout, &self.0.who, false)?);
        }
        held.turns += 1;
        Ok(Turn(Arc::clone(&self.0)))
    }
}

impl Turn {
    /// Who has it, and in which epoch of the root.
    pub(crate) fn holder(&self) -> (String, u64) {
        let epoch = self.0.held().lock.as_ref().map_or(0, RootLock::epoch);
        (format!("`{}`", self.0.who), epoch)
    }

    /// One more, at the same time.
    pub(crate) fn again(&self) -> Self {
        self.0.held().turns += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut held = self.0.held();
        held.turns -= 1;
        if held.turns == 0 {
            held.lock = None;
        }
    }
}

impl std::fmt::Debug for RootLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RootLease").field(&self.0.who).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(layout: &Layout, who: &str) -> (RootLease, Turn) {
        let lock = RootLock::acquire(layout, who, false).unwrap();
        RootLease::new(layout, who, lock, |_| {})
    }

    #[tokio::test]
    async fn the_lock_goes_with_the_last_turn() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let (mine, first) = lease(&layout, "keel up");
        let second = mine.turn().await.unwrap();
        drop(first);
        assert!(RootLock::acquire(&layout, "keel stop", false).is_err());
        drop(second);
        let (others, turn) = lease(&layout, "keel stop");
        let waits = tokio::spawn({
            let mine = mine.clone();
            async move { mine.turn().await.map(drop) }
        });
        drop(turn);
        waits.await.unwrap().unwrap();
        drop(others.turn().await.unwrap());
    }

    #[tokio::test]
    async fn who_stays_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let (mine, turn) = lease(&layout, "keel up");
        drop(turn);
        let serve = RootLock::acquire(&layout, "keel serve", false).unwrap();
        let refused = mine.turn().await.map(drop).unwrap_err();
        assert!(matches!(&refused, EngineError::Driven { by } if by.contains("keel serve")));
        drop(serve);
        drop(mine.turn().await.unwrap());
    }
}
