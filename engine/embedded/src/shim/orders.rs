//! What a shim goes by: the few things that it needs of the engine's records.

use super::wish::{self, Wish};
use crate::root::late;
use crate::root::layout::TaskDir;
use crate::root::record::{self, HealthPlan, Work};
use keel_engine::{NetworkMode, RestartPolicy};
use keel_names::signal;
use std::io;
use std::time::Duration;

/// Extracted, so that a shim does not keep whole records in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// What is asked.
    pub wish: Wish,
    /// The assignment's generation.
    pub generation: u64,
    /// [`Work::run`].
    pub run: u64,
    /// What follows an end.
    pub restart: RestartPolicy,
    /// The signal that asks for an end.
    pub stop_signal: i32,
    /// How long that may take.
    pub grace: Duration,
    /// Traffic may come to it, so it is taken out of service before it is stopped.
    pub served: bool,
    /// The check.
    pub health: Option<HealthPlan>,
    /// A terminal.
    pub tty: bool,
    /// Input stays open.
    pub stdin_open: bool,
    /// Removed at its end.
    pub auto_remove: bool,
}

impl Orders {
    /// Whether it is to end, or not to begin.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self.wish, Wish::Stop { .. })
    }

    /// Reads the records. `run` is [`Work::run`] that the last run was started for.
    pub fn read(dir: &TaskDir, run: u64) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the task has no assignment");
        let assignment = late::load_wish(dir)?.ok_or_else(missing)?;
        let work: Work = record::load(&dir.work())?.unwrap_or_default();
        let spec = &assignment.spec;
        let signal = spec.stop_signal.as_deref().or(work.stop_signal.as_deref());
        Ok(Self {
            wish: wish::read(&assignment, &work, run),
            generation: assignment.generation,
            run: work.run,
            restart: spec.restart,
            stop_signal: signal.and_then(signal::number).unwrap_or(libc::SIGTERM),
            grace: Duration::from_millis(assignment.grace_ms()),
            served: spec.network_mode == NetworkMode::Networks
                && !(spec.networks.is_empty() && spec.ports.is_empty()),
            tty: spec.tty,
            stdin_open: spec.stdin_open,
            auto_remove: assignment.auto_remove,
            health: work.health,
        })
    }
}
