//! Words for what a status notes.

use super::no_place::in_brackets;
use super::why::{after_colon, of_ending, of_failure};
use super::{of_activity, of_hold, of_tasks};
use crate::facts::short;
use crate::pace::FailureAction;
use crate::standing::ScaleOverride;
use crate::status::Note;
use keel_engine::NodeName;
use std::collections::BTreeSet;

/// One line.
#[must_use]
pub fn of_note(note: &Note) -> String {
    match note {
        Note::Refused { revision, why } if revision.is_empty() => format!("refused: {why}"),
        Note::Refused { revision, why } => {
            format!("revision {} refused: {why}", keel_engine::short(revision))
        }
        Note::RevisionFailed { revision, cause, stays, action } => {
            let what = match action {
                Some(FailureAction::Pause) => "; it stays, by `failure_action: pause`",
                Some(FailureAction::Continue) => {
                    "; its rollout goes on, by `failure_action: continue`"
                }
                _ if *stays => "; it stays, by `rollback: false`",
                _ => "",
            };
            let revision = keel_engine::short(revision);
            format!("revision {revision} failed: {}{what}", of_failure(cause))
        }
        Note::Failed { slot, cause } => format!("{} {}", short(slot), of_failure(cause)),
        Note::Unhealthy { slot, output } => {
            format!("{} is unhealthy{}", short(slot), after_colon(output.as_ref()))
        }
        Note::Ended { slot, ending } => format!("{} {}", short(slot), of_ending(ending)),
        Note::Trying { slot, activity } => format!("{}: {}", short(slot), of_activity(activity)),
        Note::NodeSilent { node, slots, seconds } => {
            let slots: Vec<_> = slots.iter().map(short).collect();
            format!(
                "waiting for node {node}, silent for {seconds} s: it is unknown how {} is",
                slots.join(", ")
            )
        }
        Note::NodeDown { node, slots } => {
            let slots: Vec<_> = slots.iter().map(short).collect();
            format!("node {node} is down, and {} with it", slots.join(", "))
        }
        Note::Image { reference, failure } => format!("image {reference}: {failure}"),
        Note::Suspended { by, reason } => {
            format!("suspended by {by}{}", after_colon(reason.as_ref()))
        }
        Note::RolledBack { revision, by } => {
            format!("rolled back to {} by {by}", keel_engine::short(revision))
        }
        Note::Scaled { service, desired, scale, left } => of_scale(service, *desired, scale, *left),
        Note::Held { service, field, why, at } => {
            let at = at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
            format!("{service} is held: `{field}`: {why}{at}")
        }
        Note::Nowhere { service, nodes } => {
            format!(
                "{service} runs on every eligible node, but no node is eligible{}",
                in_brackets(nodes)
            )
        }
        Note::Waits { slot, hold } => format!("{}: {}", short(slot), of_hold(hold)),
        Note::Stopped { slot } => format!("{} was stopped by a person", short(slot)),
        Note::TakenOver { from } => format!("taken over from {from}"),
        Note::SourceGone { owner } => format!("{owner} is no longer configured"),
        Note::NamesApart { network, services } => {
            let place = |(service, on)| format!("{service} ({})", listed(on));
            let places = services.iter().map(place).collect::<Vec<_>>().join(", ");
            format!("names on network {network} resolve to tasks on the same node only: {places}")
        }
        Note::PortsApart { service, nodes } => {
            format!("ports of {service} are published on {} only", listed(nodes))
        }
        Note::Unrecorded => "the disk takes no records: what was decided since then is kept in \
                             memory, and is forgotten if the machine restarts before the disk \
                             takes them"
            .into(),
    }
}

/// `node a`, `nodes a, b`.
fn listed(nodes: &BTreeSet<NodeName>) -> String {
    let word = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{word} {}", nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", "))
}

/// Who set the number of a service's tasks, for how long and why.
#[must_use]
pub fn of_scale(service: &str, desired: u32, scale: &ScaleOverride, left: Option<u64>) -> String {
    let (replicas, by, reason) =
        (of_tasks(scale.replicas), &scale.by, after_colon(scale.reason.as_ref()));
    let left = left.map_or_else(|| "until it is reset".to_owned(), of_left);
    format!("{service} is scaled to {replicas} by {by} {left} (the source says {desired}){reason}")
}

fn of_left(millis: u64) -> String {
    let seconds = millis.div_ceil(1_000);
    match seconds {
        0..120 => format!("for another {seconds} s"),
        120..7_200 => format!("for another {} min", seconds / 60),
        _ => format!("for another {} h", seconds / 3_600),
    }
}

/// A line each.
#[must_use]
pub fn of_notes(notes: &[Note]) -> Vec<String> {
    notes.iter().map(of_note).collect()
}
