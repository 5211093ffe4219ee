//! What the controller remembers of a stack, beside what it desires: decisions of people and
//! outcomes of the past. Everything else is looked up where it is true.

use keel_engine::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A stack's memory. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// One up for every decision.
    pub generation: u64,
    /// Held off by a person.
    pub suspended: Option<Suspended>,
    /// Slots (`web.1`) that a person stopped; lifted by `start`, `restart` or `up`.
    pub stopped: BTreeSet<String>,
    /// Slots that a person asked to be started anew: assigned Stopped, then Running.
    pub restart: BTreeSet<String>,
    /// The stack is to go: `down`, or its folder left the source.
    pub removed: Option<Removal>,
    /// Stack hashes that failed.
    pub bad: BTreeMap<Digest, KnownBad>,
    /// The stack hash that was good last.
    pub good: Option<Digest>,
    /// Jobs that are done, by service.
    pub completions: BTreeMap<String, Completion>,
    /// Tag → digest for the present stack hash.
    pub pins: BTreeMap<String, Digest>,
    /// Since when the present stack hash is being rolled out; `None` once it has settled.
    pub rollout: Option<u64>,
}

/// A person's hold on a whole stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// Who: `user@host`, or a command's name.
    pub by: String,
    /// Since when.
    pub since: u64,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How a stack is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Named volumes go too. Only ever by a person's explicit word.
    pub volumes: bool,
}

/// A stack hash that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBad {
    /// Its revision.
    pub revision: String,
    /// When.
    pub at: u64,
    /// What failed, for people.
    pub reason: String,
}

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The service's hash.
    pub hash: Digest,
    /// The image's digest.
    pub digest: Option<Digest>,
    /// When.
    pub at: u64,
}
