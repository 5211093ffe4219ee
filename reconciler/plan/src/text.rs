//! A plan in words, and in the documented JSON pieces. No value of an environment is shown.

use crate::verdict::{Entry, Plan};
use serde::Serialize;

/// One verdict, for people and scripts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `web.1`, for a slot.
    pub slot: Option<String>,
    /// `network hello_default`, for anything else.
    pub resource: Option<String>,
    /// `start`, `replace`, ….
    pub action: Option<String>,
    /// `converged`, `rollout-full`, ….
    pub hold: Option<String>,
    /// The typed reason or hold.
    pub reason: serde_json::Value,
    /// `replace: image nginx:1 -> nginx:2 (compose.yaml:7:12)`.
    pub text: String,
}

/// The verdicts, in the plan's order.
#[must_use]
pub fn rows(plan: &Plan) -> Vec<Row> {
    plan.entries.iter().map(row).collect()
}

/// One verdict.
#[must_use]
pub fn row(_entry: &Entry) -> Row {
    Row {
        slot: None,
        resource: None,
        action: None,
        hold: None,
        reason: serde_json::Value::Null,
        text: String::new(),
    }
}

/// The plan as lines `SUBJECT    VERDICT: WORDS`.
#[must_use]
pub fn lines(plan: &Plan) -> String {
    rows(plan).iter().map(|row| format!("{}\n", row.text)).collect()
}
