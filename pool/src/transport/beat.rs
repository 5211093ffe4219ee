//! Beats: a node says every two seconds that it is there, and which of its beats it saw answered last.
//!
//! # Invariants
//! - Whether a connection is dead is decided by what is heard on it at all, not by beats alone: they may wait behind
//!   what is big.

use super::allegiance::Allegiance;
use super::body::{BodyError, Incoming, Outgoing};
use super::delay::{beat_delay, random};
use super::limits::{BEAT, Limits};
use crate::clock::{now, skew};
use crate::wanted_issuer::WantedIssuer;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// What a node says.
#[derive(Debug, Serialize, Deserialize)]
struct Beat {
    /// Counted from 1.
    beat: u64,
    /// The last that was answered; 0 at first.
    acked: u64,
    /// What time it is there, in milliseconds since 1970; an older node does not say.
    #[serde(default)]
    clock: Option<u64>,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
struct Ack {
    ack: u64,
    /// What time it is for the controller.
    #[serde(default)]
    clock: Option<u64>,
    /// Whose certificate the node is asked to have from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
}

/// The last beat of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Its number, from 1 on for each connection.
    pub beat: u64,
    /// The last one that the node saw answered.
    pub acked: u64,
    /// When it came.
    pub at: Instant,
    /// How many milliseconds the node's clock is ahead of this one's, or behind; with the time that the beat took.
    pub skew: Option<i64>,
}

/// Beats that may be unanswered: one is on its way, and one may be late.
const UNANSWERED: u64 = 2;

impl Pulse {
    /// Whether the node is heard, and hears nothing itself.
    #[must_use]
    pub fn is_one_way(&self) -> bool {
        self.beat.saturating_sub(self.acked) > UNANSWERED
    }
}

/// A side that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no data received from the other side for {} seconds", .0.as_secs_f32())]
pub struct SilentPeer(pub Duration);

/// The node's side: beats until the stream breaks.
pub(super) async fn beat(
    mut hears: Incoming,
    mut says: Outgoing,
    limits: &Limits,
    allegiance: &Allegiance,
) -> BodyError {
    let (acks, acked) = watch::channel(0);
    let hearing = async {
        loop {
            match hears.message(BEAT).await {
                Ok(Some(bytes)) => {
                    let Ack { ack, clock, issuer } = ack_in(&bytes);
                    clock.inspect(|clock| allegiance.clock.note(*clock, now()));
                    allegiance.issuer.note(issuer);
                    acks.send_replace(ack)
                }
                Ok(None) => return BodyError::Unread,
                Err(error) => return error,
            };
        }
    };
    let saying = async {
        let mut beat = 0;
        loop {
            beat += 1;
            let said = Beat { beat, acked: *acked.borrow(), clock: Some(now()) };
            if let Err(error) = says.message(&json(&said)).await {
                return error;
            }
            sleep(beat_delay(limits.beat, random())).await;
        }
    };
    tokio::select! {
        error = hearing => error,
        error = saying => error,
    }
}

/// What is no answer answers nothing.
fn ack_in(bytes: &[u8]) -> Ack {
    serde_json::from_slice(bytes).unwrap_or(Ack { ack: 0, clock: None, issuer: None })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers by their names")
}

/// The controller's side: notes and answers beats until the stream breaks; with the answers, it asks the node to renew.
pub(super) async fn follow(
    mut hears: Incoming,
    mut says: Outgoing,
    pulse: &watch::Sender<Option<Pulse>>,
    limits: &Limits,
    issuer: &WantedIssuer,
) -> BodyError {
    loop {
        let bytes = match hears.message_within(BEAT, limits.stall).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        let Ok(Beat { beat, acked, clock }) = serde_json::from_slice(&bytes) else {
            return BodyError::Cut;
        };
        let skew = clock.map(|clock| skew(clock, now()));
        pulse.send_replace(Some(Pulse { beat, acked, at: Instant::now(), skew }));
        let ack = Ack { ack: beat, clock: Some(now()), issuer: issuer.get() };
        if let Err(error) = says.message(&json(&ack)).await {
            return error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_hears_nothing_is_known_by_its_beats() {
        let is_one_way =
            |beat, acked| Pulse { beat, acked, at: Instant::now(), skew: None }.is_one_way();
        assert!(!is_one_way(1, 0) && !is_one_way(2, 1) && !is_one_way(9, 7));
        assert!(is_one_way(9, 6) && is_one_way(3, 0));
    }
}
