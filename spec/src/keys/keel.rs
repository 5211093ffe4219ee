//! Evenkeel's own keys: `x-keel` of a stack, a service or a mount.

use super::row::Shape::*;
use super::row::Support::{self, *};
use super::row::{KeyRow, row};

/// A key of `x-keel` in a stack or a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeelKey {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub about: &'static str,
    /// The words that it takes, where those are all.
    pub words: &'static [&'static str],
    /// Where it may stand.
    pub home: Home,
}

/// Where a key of `x-keel` may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In the stack alone.
    Stack,
    /// In a service alone.
    Service,
    /// In both: what a service says wins.
    Both,
}

impl Home {
    /// Whether it may stand in the stack.
    pub fn is_stack(self) -> bool {
        self != Self::Service
    }

    /// Whether it may stand in a service.
    pub fn is_service(self) -> bool {
        self != Self::Stack
    }
}

/// What each key of `x-keel` decides, those that a file may use.
pub const KEEL: &[KeelKey] = &[
    KeelKey {
        name: "allow",
        about: "Codes of warnings to accept, such as W0301.",
        words: &[],
        home: Home::Both,
    },
    KeelKey {
        name: "drift",
        about: "What to do when a container differs from what was applied: repair it, or only report the drift.",
        words: &["heal", "report"],
        home: Home::Both,
    },
    KeelKey {
        name: "exclusive",
        about: "Whether at most one container of a replica may run in the pool: none is started on another node while its node does not answer. Default: false.",
        words: &[],
        home: Home::Service,
    },
    KeelKey {
        name: "health-timeout",
        about: "How long a service may take to become healthy. Default: from the health check, at least 2m.",
        words: &[],
        home: Home::Both,
    },
    KeelKey {
        name: "image-wait",
        about: "How long to wait for an image that its registry does not have yet, while the old container keeps running. Default: 15m.",
        words: &[],
        home: Home::Both,
    },
    KeelKey {
        name: "prune",
        about: "Whether to remove what was removed from the file. Volumes stay. Default: true.",
        words: &[],
        home: Home::Stack,
    },
    KeelKey {
        name: "prune-volumes",
        about: "Whether to remove volumes, with their data, that were removed from the file or whose stack was removed from the source. Default: false.",
        words: &[],
        home: Home::Stack,
    },
    KeelKey {
        name: "rollback",
        about: "Whether to roll back a failed revision to the last good one. Default: true.",
        words: &[],
        home: Home::Stack,
    },
    KeelKey {
        name: "run",
        about: "The service is a job, such as a migration, that must finish before a new revision changes anything else.",
        words: &["before-deploy"],
        home: Home::Service,
    },
    KeelKey {
        name: "settle",
        about: "How long a service must stay available before its revision counts as good. Default: 10s.",
        words: &[],
        home: Home::Both,
    },
];

const LATER: Support = Refused("is not supported by this version");
const OF_STACK: Support = Refused("applies to whole stacks: set it in the stack's `x-keel`");
const OF_SERVICE: Support = Refused("is only valid in services");

/// Keys of `x-keel` in a stack.
pub(super) const STACK: &[KeyRow] = &[
    row("x-keel", Map, Honored),
    row("x-keel.allow", Texts, Honored),
    row("x-keel.drift", Text, Honored),
    row("x-keel.exclusive", Bool, OF_SERVICE),
    row("x-keel.health-timeout", Duration, Honored),
    row("x-keel.image-wait", Duration, Honored),
    row("x-keel.prune", Bool, Honored),
    row("x-keel.prune-volumes", Bool, Honored),
    row("x-keel.rollback", Bool, Honored),
    row("x-keel.settle", Duration, Honored),
    row("x-keel.deploy", Text, LATER),
    row("x-keel.run", Text, OF_SERVICE),
    row("x-keel.window", Text, LATER),
];

/// Keys of `x-keel` in a service.
pub(super) const SERVICE: &[KeyRow] = &[
    row("x-keel", Map, Honored),
    row("x-keel.allow", Texts, Honored),
    row("x-keel.drift", Text, Honored),
    row("x-keel.exclusive", Bool, Honored),
    row("x-keel.health-timeout", Duration, Honored),
    row("x-keel.image-wait", Duration, Honored),
    row("x-keel.run", Text, Honored),
    row("x-keel.settle", Duration, Honored),
    row("x-keel.deploy", Text, LATER),
    row("x-keel.prune", Bool, OF_STACK),
    row("x-keel.prune-volumes", Bool, OF_STACK),
    row("x-keel.rollback", Bool, OF_STACK),
    row("x-keel.window", Text, LATER),
];

/// Keys of `x-keel` in a mount.
pub(super) const MOUNT: &[KeyRow] =
    &[row("x-keel", Map, Honored), row("x-keel.shared", Bool, Honored)];
