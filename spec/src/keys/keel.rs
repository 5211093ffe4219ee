//! Evenkeel's own keys: `x-keel` of a stack, a service or a mount.

use super::Shape::*;
use super::Standing::{self, *};
use super::{Row, row};

/// A key of `x-keel` in a stack or a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeelKey {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub about: &'static str,
    /// The words that it takes, where those are all.
    pub words: &'static [&'static str],
}

/// What each key of `x-keel` decides, those that a file may use.
pub const KEEL: &[KeelKey] = &[
    KeelKey {
        name: "allow",
        about: "Codes of warnings that are meant, such as W0301.",
        words: &[],
    },
    KeelKey {
        name: "drift",
        about: "What to do when a container is no longer as it was applied: put it right, or only say so.",
        words: &["heal", "report"],
    },
    KeelKey {
        name: "health-timeout",
        about: "How long a service has to become healthy. Without it: by the health check's own limits, at least 2m.",
        words: &[],
    },
    KeelKey {
        name: "settle",
        about: "How long a service must stay available before its revision counts as good.",
        words: &[],
    },
];

const LATER: Standing = Refused("is not obeyed by this version");

/// Keys of `x-keel` in a stack or a service.
pub(super) const ROWS: &[Row] = &[
    row("x-keel", Map, Honoured),
    row("x-keel.allow", Texts, Honoured),
    row("x-keel.drift", Text, Honoured),
    row("x-keel.health-timeout", Duration, Honoured),
    row("x-keel.settle", Duration, Honoured),
    row("x-keel.deploy", Text, LATER),
    row("x-keel.image-wait", Duration, LATER),
    row("x-keel.prune", Bool, LATER),
    row("x-keel.prune-volumes", Bool, LATER),
    row("x-keel.rollback", Bool, LATER),
    row("x-keel.run", Text, LATER),
    row("x-keel.window", Text, LATER),
];

/// Keys of `x-keel` in a mount.
pub(super) const MOUNT: &[Row] =
    &[row("x-keel", Map, Honoured), row("x-keel.shared", Bool, Honoured)];
