//! A node that is not connected: since when, and why.

use super::allegiance::Superseded;
use super::beat::SilentPeer;
use super::version::VersionMismatch;
use crate::clock::now;
use keel_engine::{Cause, EngineError, NodeName, Trouble};
use std::error::Error;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Why a node is not connected.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Away {
    /// This controller has not seen it yet.
    #[error("it has not connected since this controller started")]
    Never,
    /// The connection ended.
    #[error("the connection was closed")]
    Ended(#[source] Option<Cause>),
    /// The connection is there, and silent.
    #[error(transparent)]
    Silent(#[from] SilentPeer),
    /// It speaks other versions.
    #[error(transparent)]
    Version(#[from] VersionMismatch),
    /// It follows another controller.
    #[error(transparent)]
    Superseded(#[from] Superseded),
    /// It dialed anew before its connection ended.
    #[error("the node opened a newer connection")]
    Replaced,
    /// This side ended the connection.
    #[error("disconnected by the controller: {0}")]
    Disconnected(String),
}

impl Away {
    pub(super) fn ended(error: &(dyn Error + 'static)) -> Self {
        // That the other process ended says all that there is to say.
        Self::Ended(Some(Cause::of(error)).filter(|_| !is_end(error)))
    }

    fn hint(&self, node: &NodeName) -> String {
        match self {
            Self::Version(mismatch) => mismatch.hint(),
            Self::Superseded(_) => {
                "if the pool was restored on another machine, stop this controller; else restore \
                                    its newest backup here"
                    .to_owned()
            }
            Self::Disconnected(_) => {
                format!("run `keel node ls` to see whether {node} may connect")
            }
            Self::Never | Self::Ended(_) | Self::Silent(_) | Self::Replaced => {
                format!("check that `keel agent` runs on {node} and can reach this controller")
            }
        }
    }
}

/// Whether the other side just went away.
fn is_end(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        let io = io.or_else(|| error.downcast_ref::<h2::Error>()?.get_io());
        if io.is_some_and(|io| {
            matches!(io.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
        }) {
            return true;
        }
        next = error.source();
    }
    false
}

/// A node that is not connected.
#[derive(Debug, Clone)]
pub(super) struct Absence {
    /// Milliseconds since the Unix epoch.
    pub(super) since: u64,
    pub(super) why: Away,
    /// When something was heard of it last, as far as that is known.
    pub(super) heard: Instant,
}

impl Absence {
    pub(super) fn from_now(why: Away) -> Self {
        let unheard = match &why {
            Away::Silent(SilentPeer(silence)) => *silence,
            _ => Duration::ZERO,
        };
        let now_here = Instant::now();
        let heard = now_here.checked_sub(unheard).unwrap_or(now_here);
        Self { since: now(), why, heard }
    }

    /// What whoever calls is told.
    pub(super) fn error(&self, node: &NodeName) -> EngineError {
        EngineError::Failed {
            trouble: Trouble::Network,
            what: format!("node {node} has been disconnected since {}", shown(self.since)),
            cause: Some(Cause::of(&self.why)),
            hint: Some(self.why.hint(node)),
        }
    }
}

/// A call that the connection broke, or that took too long.
pub(super) fn failed(node: &NodeName, error: &(dyn Error + 'static)) -> EngineError {
    EngineError::Failed {
        trouble: Trouble::Network,
        what: format!("node {node} did not answer"),
        cause: Some(Cause::of(error)),
        hint: None,
    }
}

fn shown(millis: u64) -> String {
    let time = i64::try_from(millis).ok();
    let time = time.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map_or_else(|| "an unknown time".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_says_which_node_since_when_why_and_what_to_do() {
        let silence = SilentPeer(std::time::Duration::from_secs(6));
        let why = silence.into();
        let absence = Absence { since: 1_764_419_400_123, ..Absence::from_now(why) };
        let error = absence.error(&NodeName::new("n2"));
        assert_eq!(error.to_string(), "node n2 has been disconnected since 2025-11-29T12:30:00Z");
        let cause = error.source().unwrap().to_string();
        assert_eq!(cause, "no data received from the other side for 6 seconds");
        assert_eq!(error.trouble(), Some(Trouble::Network));
        assert!(error.hint().unwrap().contains("`keel agent` runs on n2"));
    }
}
