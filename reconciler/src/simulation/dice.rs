//! The source of chance: one number makes a schedule.

use std::sync::{Arc, Mutex};

/// Dice that several hold; each throw follows from the number and from the throws before it.
#[derive(Clone)]
pub(super) struct Dice(Arc<Mutex<fastrand::Rng>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// From 0 up to this, without it.
    pub fn below(&self, end: u64) -> u64 {
        self.between(0, end.saturating_sub(1))
    }

    pub fn between(&self, least: u64, most: u64) -> u64 {
        self.0.lock().unwrap().u64(least..=most)
    }

    /// So often of a hundred times.
    pub fn percent(&self, often: u32) -> bool {
        self.0.lock().unwrap().u32(0..100) < often
    }

    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}
