//! Leases that this engine has granted. Each has a turn at the root, so that the lock stays with this process
//! for as long as one of them holds; a process that ends takes its leases with it.

use crate::RootLock;
use crate::core::Core;
use crate::root::lease::Turn;
use keel_engine::{EngineError, Lease, Result};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By their numbers. The turn is missing where the lock is held for as long as the engine is open.
#[derive(Default)]
pub(crate) struct Granted(Mutex<Leases>);

#[derive(Default)]
struct Leases {
    last: u64,
    live: BTreeMap<u64, (Lease, Option<Turn>)>,
}

impl Granted {
    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Waits for a turn, and grants it.
    pub(crate) async fn grant(&self) -> Result<Lease> {
        let turn = self.turn_at_root().await?;
        let (holder, epoch) = turn.as_ref().map_or_else(|| self.signed(), Turn::holder);
        let mut leases = self.granted.leases();
        leases.last += 1;
        let lease = Lease { holder, epoch, number: leases.last, term: None };
        leases.live.insert(lease.number, (lease.clone(), turn));
        Ok(lease)
    }

    /// A turn of one's own, or a further one under a lease that holds.
    pub(crate) async fn turn_under(&self, lease: Option<&Lease>) -> Result<Option<Turn>> {
        let Some(lease) = lease else { return self.turn_at_root().await };
        match self.granted.leases().live.get(&lease.number) {
            Some((live, turn)) if live == lease => Ok(turn.as_ref().map(Turn::again)),
            _ => Err(EngineError::Driven { by: self.signed().0 }),
        }
    }

    /// It ends by itself where it is over already.
    pub(crate) fn ungrant(&self, lease: &Lease) {
        let mut leases = self.granted.leases();
        if leases.live.get(&lease.number).is_some_and(|(live, _)| live == lease) {
            leases.live.remove(&lease.number);
        }
    }

    /// Who drives the root, by what stands in its lock.
    fn signed(&self) -> (String, u64) {
        let holder = RootLock::holder(&self.layout).unwrap_or_default();
        (holder.to_string(), holder.epoch)
    }
}
