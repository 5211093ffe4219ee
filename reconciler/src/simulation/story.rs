//! What happened, in an order that a person can follow, and which promises were broken by it.

use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// Lines, each with its virtual time.
#[derive(Clone)]
pub(super) struct Story {
    begun: Instant,
    /// Whether somebody will read it: words cost more time than what they are about.
    pub is_told: bool,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    lines: Vec<String>,
    broken: Vec<String>,
}

impl Story {
    pub fn begin(is_told: bool) -> Self {
        Self { begun: Instant::now(), is_told, told: Arc::default() }
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap()
    }

    /// Something happened to a node, or to `controller`.
    pub fn tell(&self, who: &str, what: &str) {
        if !self.is_told {
            return;
        }
        let now = self.now();
        let line = format!("{:>5}.{:03}  {who:<10}  {what}", now / 1_000, now % 1_000);
        self.told.lock().unwrap().lines.push(line);
    }

    /// A promise that was broken.
    pub fn broken(&self, what: &str) {
        self.tell("BROKEN", what);
        self.told.lock().unwrap().broken.push(what.to_owned());
    }

    pub fn is_broken(&self) -> bool {
        !self.told.lock().unwrap().broken.is_empty()
    }

    /// What came of it all.
    pub fn end(&self) -> Played {
        let told = self.told.lock().unwrap();
        Played { lines: told.lines.clone(), broken: told.broken.clone() }
    }
}

/// A schedule that was played.
pub(super) struct Played {
    lines: Vec<String>,
    broken: Vec<String>,
}

impl Played {
    pub fn story(&self) -> String {
        self.lines.join("\n")
    }

    pub fn broken(&self) -> &[String] {
        &self.broken
    }

    /// What was broken first, without the particulars: two stories with the same have one cause.
    pub fn kind(&self) -> Option<&str> {
        self.broken.first().map(|broken| broken.split(':').next().unwrap_or_default())
    }
}
