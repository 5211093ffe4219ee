//! What became of the pulls of one name, and why one failed.

use crate::task::step_error::in_words;
use keel_engine::{Digest, Failure, FailureKind};
use keel_images::{Reference, ReferenceError};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// What became of the pulls of one name.
#[derive(Default)]
pub(super) struct PullState {
    /// Says true when the pull that goes on has ended.
    pub(super) going: Option<watch::Receiver<bool>>,
    /// Bytes that came and bytes in all, by layer.
    pub(super) layers: BTreeMap<Digest, (u64, u64)>,
    pub(super) failure: Option<Failure>,
    /// It was refused before the controller had said who asks.
    pub(super) awaits_login: bool,
    pub(super) pulls: u64,
}

impl PullState {
    pub(super) fn bytes(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), layer: &(u64, u64)| (sum.0 + layer.0, sum.1 + layer.1);
        self.layers.values().fold((0, 0), add)
    }
}

pub(super) fn named(reference: &str) -> std::result::Result<Reference, ReferenceError> {
    reference.parse()
}

pub(super) fn absent(reference: &str) -> Failure {
    let text = format!("image {reference} is not on this node, and may not be pulled");
    Failure { kind: FailureKind::NotHere, text }
}

pub(super) fn broke_off() -> Failure {
    let text = "the pull broke off by a fault of keel's own: please report what it printed";
    Failure { kind: FailureKind::Other, text: text.to_owned() }
}

pub(super) fn failure(error: &keel_images::Error, remedy: &str) -> Failure {
    Failure { kind: error.kind(), text: in_words(error) + remedy }
}

/// What to do, where only a person can: it is told wherever the failure is.
pub(super) fn remedy(error: &keel_images::Error) -> String {
    use keel_images::Error;
    let persons = matches!(error, Error::Denied { .. } | Error::Misled { .. });
    let tells = persons || error.is_untrusted() || error.is_full_disk();
    error.hint().filter(|_| tells).map(told).unwrap_or_default()
}

/// As it stands behind what happened.
pub(super) fn told(hint: String) -> String {
    format!("; {hint}")
}
