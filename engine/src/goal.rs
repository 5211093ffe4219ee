//! How far things shall get, and what a node keeps of whoever asks.

use serde::{Deserialize, Serialize};

/// How far a task shall get. Within a generation it only moves forward.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Image, networks, volumes and ports are there; no process yet.
    Ready,
    /// The process runs, as its restart policy says.
    Running,
    /// No process, and none will start; the writable layer stays.
    Stopped,
    /// Nothing is left of it, its anonymous volumes apart.
    Removed,
}

/// Whether a network, volume or image shall exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It shall.
    Present,
    /// It shall not. A volume's data goes with it; refused while a task uses it.
    Absent,
}

/// Data that a node keeps and hands back unread.
pub type Opaque = serde_json::Value;
