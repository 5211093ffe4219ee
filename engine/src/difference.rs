//! A field that differs, and what a difference costs.

use crate::Value;
use crate::fields::{Cost, Field};
use serde::{Deserialize, Serialize};

/// One field that differs, of a task unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference<F = Field> {
    /// Which.
    pub field: F,
    /// Its name as Compose writes it.
    pub name: String,
    /// Before.
    pub from: Value,
    /// After.
    pub to: Value,
    /// What it costs.
    pub cost: Cost,
}

/// The dearest of the differences; `None` where there are none.
#[must_use]
pub fn cost_of<F>(differences: &[Difference<F>]) -> Option<Cost> {
    differences.iter().map(|difference| difference.cost).max()
}
