//! What separates two specifications, by the field table.

use crate::fields::{Cost, FIELDS, Field};
use crate::{TaskSpec, Value};
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

/// Every field that differs, in the table's order.
#[must_use]
pub fn diff(from: &TaskSpec, to: &TaskSpec) -> Vec<Difference> {
    FIELDS
        .iter()
        .map(|row| (row, (row.get)(from), (row.get)(to)))
        .filter(|(_, from, to)| from != to)
        .map(|(row, from, to)| Difference {
            field: row.field,
            name: row.name.to_owned(),
            from,
            to,
            cost: row.cost(),
        })
        .collect()
}

/// The dearest of the differences; `None` where there are none.
#[must_use]
pub fn cost_of<F>(differences: &[Difference<F>]) -> Option<Cost> {
    differences.iter().map(|difference| difference.cost).max()
}
