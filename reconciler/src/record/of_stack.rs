//! The records that tell how a stack is, read together.

use crate::operation::Operation;
use keel_plan::desired::Desired;
use keel_plan::drift::Seen;
use keel_plan::standing::Standing;
use std::sync::Arc;

/// As they were read at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackRecords {
    pub desired: Option<Arc<Desired>>,
    pub standing: Arc<Standing>,
    pub operation: Option<Arc<Operation>>,
    pub seen: Arc<Seen>,
}

impl StackRecords {
    /// Whether all of them are the very same. One that was read anew counts as another.
    pub(crate) fn are(&self, other: &Self) -> bool {
        is_same(self.desired.as_ref(), other.desired.as_ref())
            && (Arc::ptr_eq(&self.standing, &other.standing) || self.standing == other.standing)
            && is_same(self.operation.as_ref(), other.operation.as_ref())
            && (Arc::ptr_eq(&self.seen, &other.seen) || self.seen == other.seen)
    }
}

fn is_same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}
