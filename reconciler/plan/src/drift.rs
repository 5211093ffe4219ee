//! What differs between what was applied and what is, as rows for a report.

use crate::Inputs;
use crate::desired::{DriftPolicy, Origin};
use keel_engine::{Level, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Stable for the same field of the same thing.
    pub id: String,
    /// The stack; empty for the node's own.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The container's name.
    pub task: String,
    /// Where.
    pub node: String,
    /// What kind of thing.
    pub level: Level,
    /// The field path.
    pub field: String,
    /// What the revision says.
    pub desired: Value,
    /// Where it says so.
    pub at: Option<Origin>,
    /// What was applied.
    pub applied: Value,
    /// What is.
    pub observed: Value,
    /// Since when it is known; milliseconds.
    pub first_seen: u64,
    /// What is known of how it came.
    pub cause: Option<String>,
    /// What happens to it.
    pub policy: DriftPolicy,
    /// It is right again; shown for 24 hours, and not counted.
    pub fixed: bool,
}

/// What was seen before, by row id. Kept with the stack's records.
pub type Seen = BTreeMap<String, SeenRow>;

/// A row that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// As it was last seen.
    pub row: Row,
    /// Since when it is right again.
    #[serde(default)]
    pub fixed: Option<u64>,
}

/// The rows of a stack, and what is to be remembered for the next time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By service, task, field.
    pub rows: Vec<Row>,
    /// To be handed in next time.
    pub seen: Seen,
}

/// The findings of an observation made with [`keel_engine::Depth::Fields`].
#[must_use]
pub fn report(_inputs: &Inputs<'_>, seen: &Seen) -> Report {
    Report { rows: Vec::new(), seen: seen.clone() }
}
