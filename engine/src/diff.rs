//! What separates two specifications, by the field table.

use crate::fields::{Cost, FIELDS, Field, FieldRow, attachment_diff};
use crate::{Difference, TaskSpec};

/// Every field that differs, in the table's order; of attachments to networks, every field of theirs.
#[must_use]
pub fn diff(from: &TaskSpec, to: &TaskSpec) -> Vec<Difference> {
    // Nearly always: a stack of thousands of tasks is compared in each of its passes.
    if is_same(from, to) {
        return Vec::new();
    }
    FIELDS.iter().flat_map(|row| differences(row, from, to)).collect()
}

/// Whether one becomes the other without a new container: as [`cost_of`] says of all that differs.
#[must_use]
pub fn is_in_reach(from: &TaskSpec, to: &TaskSpec) -> bool {
    let replaces = |row: &&FieldRow| row.cost() == Cost::Replace;
    let mut rows = FIELDS.iter().filter(replaces);
    is_same(from, to)
        || rows.all(|row| differences(row, from, to).iter().all(|one| one.cost != Cost::Replace))
}

/// Planned with what is applied, one is often the other itself.
fn is_same(from: &TaskSpec, to: &TaskSpec) -> bool {
    std::ptr::eq(from, to) || from == to
}

fn differences(row: &FieldRow, from: &TaskSpec, to: &TaskSpec) -> Vec<Difference> {
    let (was, is) = ((row.get)(from), (row.get)(to));
    if was == is {
        return vec![];
    }
    let parts = if row.field == Field::Networks { attachment_diff(from, to) } else { vec![] };
    if !parts.is_empty() {
        return parts;
    }
    let (field, name) = (row.field, row.name.to_owned());
    vec![Difference { field, name, from: was, to: is, cost: row.cost() }]
}
