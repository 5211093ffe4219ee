//! How a node is, seen from outside: pure.

use super::about::{About, CauseKey, Tried, What, Why};
use super::incident::{Cause, Seen};
use crate::advice::Advice;
use crate::fleet::Liveness;
use keel_engine::NodeName;

/// A node besides the controller's own, silent since then, with what came instead of an answer.
pub(super) fn of_node(name: &NodeName, liveness: Liveness, silence: Option<(u64, &str)>) -> Seen {
    let (since, why) = silence.unwrap_or_default();
    let down = (liveness == Liveness::Down).then(|| Cause {
        key: CauseKey::Down,
        patience: 0,
        passing: true,
        about: About {
            what: What::Down,
            reason: Why::Told(format!("it does not answer: {why}")),
            since,
            tried: Some(Tried::RunsElsewhere),
            commands: vec![Advice::Nodes, Advice::ConfirmDead { node: name.to_string() }],
            ..About::default()
        },
    });
    let now = About { what: What::Nothing, reason: Why::Heard, ..About::default() };
    Seen { causes: down.into_iter().collect(), well: liveness == Liveness::Ready, now }
}

/// The controller itself, which hears no other node any more.
pub(super) fn of_controller(is_isolated: bool, now: u64) -> Seen {
    let isolated = is_isolated.then(|| Cause {
        key: CauseKey::Isolated,
        patience: ISOLATED,
        passing: true,
        about: About {
            what: What::Isolated,
            reason: Why::AllSilent,
            since: now,
            commands: vec![Advice::Nodes],
            ..About::default()
        },
    });
    let about = About { what: What::Nothing, reason: Why::Heard, ..About::default() };
    Seen { causes: isolated.into_iter().collect(), well: !is_isolated, now: about }
}

/// A switch that is restarted takes that long.
const ISOLATED: u64 = 60_000;
