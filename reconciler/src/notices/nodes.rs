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

#[cfg(test)]
mod tests {
    use super::super::about::Subject;
    use super::super::incident::Incidents;
    use super::super::words::of_incident;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_node_that_is_down_is_told_with_what_to_do_and_so_is_its_return() {
        let mut incidents = Incidents::default();
        let mut told = |liveness, now| {
            let seen = of_node(&"shed".into(), liveness, Some((5, "no data received")));
            let all = BTreeMap::from([(Subject::Node("shed".into()), seen)]);
            let news = incidents.look(&all, now, || "1".into());
            news.iter().map(|news| of_incident(news, "hall", now)).collect::<Vec<_>>()
        };
        assert!(told(Liveness::Unknown, 0).is_empty());
        assert!(told(Liveness::Down, 1_000).is_empty());
        let down = told(Liveness::Down, 4_000).remove(0);
        assert_eq!(down.title, "node shed is down in the pool of hall");
        assert_eq!(down.reason, "it does not answer: no data received");
        assert_eq!(down.commands, ["keel node ls", "keel node confirm-dead shed"]);
        assert!(told(Liveness::Ready, 10_000).is_empty(), "it may fall silent again at once");
        let back = told(Liveness::Ready, 50_000).remove(0);
        assert_eq!(back.title, "node shed has recovered in the pool of hall");
        assert_eq!(back.reason, "it answers again");
    }
}
