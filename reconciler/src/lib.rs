//! Sources, refreshes, passes and records: from what is in Git to what is assigned.

pub mod ask;
