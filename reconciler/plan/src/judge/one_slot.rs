//! One slot under judgement.

use crate::draft::Draft;
use crate::facts::{Facts, Want};
use keel_engine::Slot;

/// One slot that something is wanted in.
pub(super) struct Judge<'j, 'a> {
    pub(super) facts: &'j Facts<'a>,
    pub(super) draft: &'j mut Draft,
    pub(super) slot: &'j Slot,
    pub(super) want: &'j Want<'a>,
}
