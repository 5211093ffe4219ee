//! What time it is: here, and for the controller of a node.
//!
//! # Invariants
//! - A node's own clock may be off by years: what is due by a date is due by the controller's clock, as far as that is
//!   known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// By how much a clock is ahead of another one, or behind.
pub(crate) fn skew(clock: u64, other: u64) -> i64 {
    let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    signed(clock).saturating_sub(signed(other))
}

/// The controller's clock, as a node knows it. Clones know the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct ControllersClock(Arc<Mutex<Option<i64>>>);

impl ControllersClock {
    /// The controller said that it is `clock` there, when it was `here` on this machine.
    pub(crate) fn note(&self, clock: u64, here: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew(clock, here));
    }

    /// What time it is for the controller; `None` where it has not said so yet.
    pub(crate) fn now(&self) -> Option<u64> {
        let ahead = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(now().saturating_add_signed(ahead))
    }
}
