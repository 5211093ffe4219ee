//! The spans of diagnostics: one for each refresh and each pass, with a number that tells two of them
//! apart in what several threads say. Names and counts only: nothing of what files or secrets hold.

use crate::fleet::Fleet;
use keel_engine::NodeName;
use keel_engine::StackName;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{Span, debug_span};

/// The next number, counted from 1 since the process began.
fn next() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// One refresh of a source.
pub(crate) fn refresh(source: &str) -> Span {
    debug_span!("refresh", id = next(), source)
}

/// One pass over a stack, and the nodes that it looks at.
pub(crate) fn pass(stack: &StackName, fleet: &Fleet) -> Span {
    let span =
        debug_span!("pass", id = next(), stack = stack.as_str(), node = tracing::field::Empty);
    if !span.is_disabled() {
        span.record(
            "node",
            fleet.names().iter().map(NodeName::as_str).collect::<Vec<_>>().join(","),
        );
    }
    span
}
