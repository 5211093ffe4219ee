//! What nodes tell of times, by the controller's clock: only ages count, and a clock that is wrong tells ages as well
//! as any other.
//!
//! # Invariants
//! - The controller's own node has its clock: times of that are as they are.
//! - A difference that a message on its way can explain is none.
//! - What a node says is yet to come began before its clock was set back: it is old.

use keel_engine::{NodeReport, Nodes, Observation, ObservedTask};
use std::borrow::Cow;
use std::sync::Arc;

/// A message may take so long. Clocks that differ by less are taken for the same: what settles, settles by so much
/// too early at worst.
const ON_ITS_WAY: u64 = 1_000;

/// Older than any settle time.
const OLD: u64 = 24 * 60 * 60_000;

/// The same nodes, with the times of those whose clocks are wrong, or were, by the controller's clock.
pub(crate) fn by_our_clock(nodes: &Nodes, now: u64) -> Cow<'_, Nodes> {
    let watches = nodes.all_known().map(|(node, seen)| {
        let is_off = *node != nodes.home && seen.at.abs_diff(now) > ON_ITS_WAY;
        (node, seen, Watch { at: seen.at, ours: if is_off { now } else { seen.at } })
    });
    let wrong = watches.filter(|(_, seen, watch)| watch.is_wrong(seen));
    let right: Vec<_> =
        wrong.map(|(node, seen, watch)| (node.clone(), watch.shifted(seen))).collect();
    if right.is_empty() {
        return Cow::Borrowed(nodes);
    }
    let mut nodes = nodes.clone();
    let reports = right.into_iter().map(|(node, seen)| (node, NodeReport::Known(Arc::new(seen))));
    nodes.reports.extend(reports);
    Cow::Owned(nodes)
}

/// One moment, by two clocks.
struct Watch {
    at: u64,
    ours: u64,
}

impl Watch {
    fn is_wrong(&self, seen: &Observation) -> bool {
        let is_to_come = |task: &ObservedTask| {
            let times = [Some(task.created), task.started, task.finished, task.health_since];
            times.into_iter().flatten().any(|time| self.is_to_come(time))
        };
        self.at != self.ours || seen.all_tasks().any(is_to_come)
    }

    fn is_to_come(&self, time: u64) -> bool {
        time > self.at.saturating_add(ON_ITS_WAY)
    }

    fn tell(&self, time: u64) -> u64 {
        match self.is_to_come(time) {
            true => self.ours.saturating_sub(OLD),
            false => self.ours.saturating_sub(self.at.saturating_sub(time)),
        }
    }

    fn shifted(&self, seen: &Observation) -> Observation {
        let ours = |time| self.tell(time);
        let task = |task: &ObservedTask| ObservedTask {
            created: ours(task.created),
            started: task.started.map(ours),
            finished: task.finished.map(ours),
            health_since: task.health_since.map(ours),
            ..task.clone()
        };
        let tasks = seen.all_tasks().map(|one| Arc::new(task(one))).collect();
        Observation { at: self.ours, tasks, ..seen.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_count_and_clocks_do_not() {
        const HOUR: u64 = 3_600_000;
        const YEAR: u64 = 365 * 24 * HOUR;
        let now = 10 * YEAR;
        let cases = [
            // What the node's clock says, when it says something began, and when that was by ours.
            ("as ours", now, now - HOUR, now - HOUR),
            ("a message on its way", now - 900, now - HOUR, now - HOUR),
            ("a year ahead", now + YEAR, now + YEAR - HOUR, now - HOUR),
            ("a year behind", now - YEAR, now - YEAR - HOUR, now - HOUR),
            ("set ahead since", now + YEAR, now - HOUR, now - HOUR - YEAR),
            ("set back since", now - YEAR, now - HOUR, now - OLD),
            ("ours was set back since", now, now + YEAR, now - OLD),
        ];
        for (case, at, began, expected) in cases {
            let is_off = at.abs_diff(now) > ON_ITS_WAY;
            let watch = Watch { at, ours: if is_off { now } else { at } };
            assert_eq!(watch.tell(began), expected, "{case}");
        }
    }

    #[test]
    fn the_controllers_own_node_is_never_off() {
        let seen = Observation { node: "far".into(), at: 5, ..Observation::default() };
        let mut nodes = Nodes::from(Observation { node: "home".into(), ..seen.clone() });
        assert!(matches!(by_our_clock(&nodes, 1_000_000), Cow::Borrowed(_)));
        nodes.reports.insert("far".into(), NodeReport::Known(Arc::new(seen)));
        let told = by_our_clock(&nodes, 1_000_000);
        let at = |node: &str| told.known(&node.into()).map(|seen| seen.at);
        assert_eq!((at("home"), at("far")), (Some(5), Some(1_000_000)));
    }
}
