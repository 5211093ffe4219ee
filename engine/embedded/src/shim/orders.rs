//! What a shim goes by: the few things that it needs of the engine's records.

use super::wish::{self, Wish};
use crate::late;
use crate::layout::TaskDir;
use crate::record::{self, HealthPlan, Work};
use keel_engine::{NetworkMode, RestartPolicy};
use nix::sys::signal::Signal;
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
            stop_signal: signal.and_then(signal_number).unwrap_or(libc::SIGTERM),
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

/// A signal by name (`TERM`, `SIGTERM`, `SIGRTMIN+3`) or number.
#[must_use]
pub fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let real_time = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(more), _) => first.checked_add(offset(more)?)?,
        (_, Some(less)) => last.checked_add(offset(less)?)?,
        _ => return format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32),
    };
    (first..=last).contains(&real_time).then_some(real_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let cases = [
            ("TERM", Some(15)),
            ("sigquit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN", Some(34)),
            ("NOPE", None),
            ("0", None),
            ("RTMIN+99", None),
            ("RTMIN-1", None),
            ("RTMIN+2147483647", None),
            ("RTMAX-2147483648", None),
            ("65", None),
        ];
        for (text, number) in cases {
            assert_eq!(signal_number(text), number, "{text}");
        }
    }
}
