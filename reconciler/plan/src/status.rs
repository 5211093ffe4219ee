//! How a stack is: three answers that are never mixed into one word, and notes for people.

use crate::Inputs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Desired against applied, only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sync {
    /// Every slot was assigned what is desired.
    InSync,
    /// Not all of them, or others too.
    OutOfSync,
    /// Nothing is known to be desired.
    Unknown,
}

/// How the tasks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// All that shall be there is, and well.
    Healthy,
    /// On the way, within the time given.
    Progressing,
    /// Something is not well.
    Degraded,
    /// Nothing runs.
    Missing,
    /// A person holds it off.
    Suspended,
    /// It cannot be known.
    Unknown,
}

/// How a stack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Desired against applied.
    pub sync: Sync,
    /// How the tasks are.
    pub health: Health,
    /// One line each, worst first.
    pub notes: Vec<String>,
    /// Each service: running and healthy tasks, desired tasks.
    pub services: BTreeMap<String, (u32, u32)>,
    /// Drift that is there now (where the observation looked for it).
    pub drift: u32,
    /// The revision that the newest tasks were assigned with.
    pub revision: String,
}

/// How a stack is.
#[must_use]
pub fn status(_inputs: &Inputs<'_>) -> Status {
    Status {
        sync: Sync::Unknown,
        health: Health::Unknown,
        notes: Vec::new(),
        services: BTreeMap::new(),
        drift: 0,
        revision: String::new(),
    }
}

impl std::fmt::Display for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}
