//! Leases that this engine has granted. Each has a turn at the root, so that the lock stays with this process
//! for as long as one of them holds; a process that ends takes its leases with it.

use crate::root::lease::Turn;
use keel_engine::Lease;
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

    /// One more, for whoever drives the root with this turn.
    pub(crate) fn add(&self, (holder, epoch): (String, u64), turn: Option<Turn>) -> Lease {
        let mut leases = self.leases();
        leases.last += 1;
        let lease = Lease { holder, epoch, number: leases.last, term: None };
        leases.live.insert(lease.number, (lease.clone(), turn));
        lease
    }

    /// A further turn under a lease that holds; `None` for one that does not.
    pub(crate) fn turn(&self, lease: &Lease) -> Option<Option<Turn>> {
        match self.leases().live.get(&lease.number) {
            Some((live, turn)) if live == lease => Some(turn.as_ref().map(Turn::again)),
            _ => None,
        }
    }

    /// Ends one; it is over by itself where it is over already.
    pub(crate) fn end(&self, lease: &Lease) {
        let mut leases = self.leases();
        if leases.live.get(&lease.number).is_some_and(|(live, _)| live == lease) {
            leases.live.remove(&lease.number);
        }
    }
}
