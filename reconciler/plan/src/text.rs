//! A plan in words, and in the documented JSON pieces.
//!
//! # Invariants
//! - No value of an environment is shown, only which variables differ.
//! - Equal plans give equal bytes.

mod no_place;
mod note;
mod why;

pub use note::{of_note, of_notes, of_scale};
pub use why::{
    is_same_failure, of_activity, of_ending, of_failure, of_hold, of_holder, of_kept, of_not_run,
    of_subject,
};

use crate::desired::Origin;
use crate::verdict::{Action, Hold, Plan, PlanEntry, Reason, Subject, Verdict};
use keel_engine::{Difference, Finding, NodeName, Value, fields::Field};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One verdict, for people and scripts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRow {
    /// `web.1`, for a slot.
    pub slot: Option<String>,
    /// `network hello_default`, for anything else.
    pub resource: Option<String>,
    /// The node that it is or will be on.
    pub node: Option<NodeName>,
    /// `start`, `replace`, ….
    pub action: Option<String>,
    /// `converged`, `rollout-full`, ….
    pub hold: Option<String>,
    /// The typed reason or hold.
    pub reason: serde_json::Value,
    /// `replace: image nginx:1 -> nginx:2 (compose.yaml:7:12)`.
    pub text: String,
}

/// The verdicts, in the plan's order.
#[must_use]
pub fn rows(plan: &Plan) -> Vec<PlanRow> {
    plan.entries.iter().map(row).collect()
}

/// One verdict.
#[must_use]
pub fn row(entry: &PlanEntry) -> PlanRow {
    let (slot, resource) = match &entry.subject {
        Subject::Slot(slot) => (Some(crate::facts::short(slot)), None),
        other => (None, Some(of_subject(other))),
    };
    let (action, hold, reason) = match &entry.verdict {
        Verdict::Act { action, reason, .. } => (Some(word(action)), None, json_of_reason(reason)),
        Verdict::Hold(hold) => (None, Some(word(hold)), json_of_hold(hold)),
    };
    let node = entry.node.clone();
    PlanRow { slot, resource, node, action, hold, reason, text: of_verdict(&entry.verdict) }
}

/// The plan as lines `SUBJECT    VERDICT: WORDS`, subjects padded to one width; with their node, where the
/// plan is about several.
#[must_use]
pub fn lines(plan: &Plan) -> String {
    let rows = rows(plan);
    let several = nodes(&rows).len() > 1;
    let subject = |row: &PlanRow| {
        let subject = row.slot.as_ref().or(row.resource.as_ref()).map_or("", String::as_str);
        let on = row.node.as_ref().filter(|_| several).map(|node| format!(" on {node}"));
        format!("{subject}{}", on.unwrap_or_default())
    };
    let width = rows.iter().map(|row| subject(row).chars().count()).max().unwrap_or(0);
    rows.iter().map(|row| format!("{:width$}    {}\n", subject(row), row.text)).collect()
}

/// The nodes that verdicts are about.
#[must_use]
pub fn nodes(rows: &[PlanRow]) -> BTreeSet<&NodeName> {
    rows.iter().filter_map(|row| row.node.as_ref()).collect()
}

/// A verdict: `replace: …`, `hold: …`.
#[must_use]
pub fn of_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Act { action, reason, .. } => of_action(*action, reason),
        Verdict::Hold(hold) => format!("hold: {}", of_hold(hold)),
    }
}

/// One line: what moves where, and why.
#[must_use]
pub fn of_move(step: &crate::Move) -> String {
    let crate::Move { slot, from, to, because } = step;
    let (slot, why) = (crate::facts::short(slot), no_place::of_refusal(because));
    format!("{slot} moves from node {from} to {to} ({from} is {why})")
}

/// `1 task`, `3 tasks`.
pub(crate) fn of_tasks(count: u32) -> String {
    format!("{count} task{}", if count == 1 { "" } else { "s" })
}

/// What is done, and why.
#[must_use]
pub fn of_action(action: Action, reason: &Reason) -> String {
    format!("{}: {}", word(&action), of_reason(reason, action))
}

fn of_reason(reason: &Reason, action: Action) -> String {
    match reason {
        Reason::Missing if action == Action::Start => "not running".into(),
        Reason::Missing if action == Action::Replace => "its definition has changed".into(),
        Reason::Missing => "it does not exist".into(),
        Reason::Changed { differences } => {
            let all: Vec<_> =
                differences.iter().map(|(d, at)| of_difference(d, at.as_ref())).collect();
            all.join(", ")
        }
        Reason::Redefined { differences } => {
            let of = |d: &Difference<_>| of_values(&d.name, &d.from, &d.to, false);
            differences.iter().map(of).collect::<Vec<_>>().join(", ")
        }
        Reason::ImageMoved { from, to } => {
            let from = from.map_or_else(|| "unknown".to_owned(), |from| from.short());
            format!("the tag now points to another image: {from} -> {}", to.short())
        }
        Reason::NotPulled => "not present on this node".into(),
        Reason::Drifted { findings } => {
            findings.iter().map(of_finding).collect::<Vec<_>>().join(", ")
        }
        Reason::Ended { exit_code: Some(code) } => format!("it exited ({code})"),
        Reason::Ended { exit_code: None } => "it ended".into(),
        Reason::NotInSource => "it is not in the source any more".into(),
        Reason::Scaled { replicas, by: None } => format!("{} desired", of_tasks(*replicas)),
        Reason::Scaled { replicas, by: Some(by) } => {
            format!("scaled to {} by {by}", of_tasks(*replicas))
        }
        Reason::Asked { command } => format!("asked for by `keel {command}`"),
        Reason::Superseded => "its successor is available".into(),
        Reason::Overtaken => "superseded by a newer revision".into(),
        Reason::SuccessorWaits => "its successor cannot begin yet".into(),
        Reason::StopFirst => "it stops before its successor can start".into(),
        Reason::Failed { cause } => format!("failed: {}", of_failure(cause)),
        Reason::BeforeDeploy { revision } => {
            format!("before revision {} is deployed", keel_engine::short(revision))
        }
        Reason::Follows { leader } => format!("follows {leader}"),
        Reason::Moved { from, because: None } => format!("moves from node {from}"),
        Reason::Moved { from, because: Some(because) } => {
            format!("moves from node {from} ({})", no_place::of_refusal(because))
        }
        Reason::Reclaimed => "its node answers again before its replacement is available".into(),
        Reason::Surplus => "it was replaced while its node was down".into(),
        Reason::LeavesNode { because } if action == Action::Stop => {
            format!("nothing may run on its node ({})", no_place::of_refusal(because))
        }
        Reason::LeavesNode { because } => {
            format!("its node runs no task of it any more ({})", no_place::of_refusal(because))
        }
    }
}

/// `mem_limit was 64MiB, is 32MiB (killed by …)`.
#[must_use]
pub fn of_finding(finding: &Finding) -> String {
    let cause = finding.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let field = finding.field();
    match finding.row() == Some(Field::Environment) {
        true => format!("{field} differs{cause}"),
        false => format!("{field} was {}, is {}{cause}", finding.applied, finding.observed),
    }
}

fn of_difference(difference: &Difference, at: Option<&Origin>) -> String {
    let Difference { field, name, from, to, .. } = difference;
    let at = at.map(|at| format!(" ({at})")).unwrap_or_default();
    match field {
        Field::Environment => format!("{name} {}{at}", changed_keys(from, to).join(" ")),
        field => format!("{}{at}", of_values(name, from, to, is_a_line(*field))),
    }
}

fn of_values(name: &str, from: &Value, to: &Value, is_a_line: bool) -> String {
    match (from, to) {
        (Value::Map(_) | Value::Unset, Value::Map(_)) | (Value::Map(_), _) => {
            format!("{name} {}", changed_pairs(from, to).join(" "))
        }
        (Value::List(_) | Value::Unset, Value::List(_)) | (Value::List(_), _) if !is_a_line => {
            format!("{name} {}", changed_items(from, to).join(" "))
        }
        (from, to) => format!("{name} {} -> {}", plain(from), plain(to)),
    }
}

/// Lists that are one line to a reader, so that their items mean nothing apart.
fn is_a_line(field: Field) -> bool {
    matches!(field, Field::Command | Field::Entrypoint)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => item(text),
        other => other.to_string(),
    }
}

fn map(value: &Value) -> BTreeMap<String, String> {
    match value {
        Value::Map(map) => map.clone(),
        _ => BTreeMap::new(),
    }
}

fn changed_keys(from: &Value, to: &Value) -> Vec<String> {
    changes(&map(from), &map(to), |sign, key, _| format!("{sign}{key}"))
}

fn changed_pairs(from: &Value, to: &Value) -> Vec<String> {
    changes(&map(from), &map(to), |sign, key, value| format!("{sign}{key}={value}"))
}

/// `+` new, `-` gone, `~` another value.
fn changes(
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
    shown: impl Fn(char, &str, &str) -> String,
) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = from.keys().chain(to.keys()).collect();
    keys.into_iter()
        .filter_map(|key| match (from.get(key), to.get(key)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(_), Some(new)) => Some(shown('~', key, new)),
            (None, Some(new)) => Some(shown('+', key, new)),
            (Some(old), None) => Some(shown('-', key, old)),
            (None, None) => None,
        })
        .collect()
}

fn changed_items(from: &Value, to: &Value) -> Vec<String> {
    let items = |value: &Value| match value {
        Value::List(items) => items.clone(),
        _ => Vec::new(),
    };
    let (from, to) = (items(from), items(to));
    let gone = from.iter().filter(|old| !to.contains(old)).map(|old| format!("-{}", item(old)));
    let new = to.iter().filter(|new| !from.contains(new)).map(|new| format!("+{}", item(new)));
    let changed: Vec<_> = gone.chain(new).collect();
    if changed.is_empty() { vec!["in another order".into()] } else { changed }
}

/// A compound item (a mount, a network) by what names it, with the digest of its content.
fn item(text: &str) -> String {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
        return text.to_owned();
    };
    let name = ["target", "network", "test"].iter().find_map(|key| object.get(*key));
    let Some(name) = name else { return text.to_owned() };
    let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
    let digest = digest(&serde_json::Value::Object(object));
    digest.map_or(name.clone(), |digest| format!("{name}@{digest}"))
}

fn digest(value: &serde_json::Value) -> Option<String> {
    let object = value.as_object()?;
    let own = object.get("digest").and_then(|digest| digest.as_str());
    let short = |digest: &str| digest.trim_start_matches("sha256:").chars().take(8).collect();
    own.map(short).or_else(|| object.values().find_map(digest))
}

/// A reason that can be shown and recorded: variables by name, none of their values.
#[must_use]
pub fn without_values(reason: &Reason) -> Reason {
    let mut reason = reason.clone();
    match &mut reason {
        Reason::Changed { differences } => {
            for (difference, _) in differences {
                if difference.field == Field::Environment {
                    let keys = Value::List(changed_keys(&difference.from, &difference.to));
                    (difference.from, difference.to) = (Value::Unset, keys);
                }
            }
        }
        Reason::Drifted { findings } => {
            for finding in findings {
                if finding.row() == Some(Field::Environment) {
                    (finding.applied, finding.observed) = (Value::Unset, Value::Unset);
                }
            }
        }
        _ => {}
    }
    reason
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("our own types have string keys and no failing field")
}

/// A hold, with the words that its data has beside it.
fn json_of_hold(hold: &Hold) -> serde_json::Value {
    let words = match hold {
        Hold::InProgress { activity } => ("what", of_activity(activity)),
        Hold::Failed { cause } | Hold::Late { cause } => ("what", of_failure(cause)),
        Hold::NotFound { subject } => ("what", of_subject(subject)),
        Hold::Lacking { .. } => ("why", of_hold(hold)),
        Hold::KnownBad { cause, .. } => ("reason", of_failure(cause)),
        Hold::OwnedBy { holder } => ("owner", of_holder(holder)),
        Hold::NotRunYet { because, .. } => ("why", of_not_run(because)),
        Hold::Kept { because } => ("why", of_kept(because)),
        Hold::NoPlace { .. } | Hold::CannotMove { .. } | Hold::NodeDown { .. } => {
            ("why", of_hold(hold))
        }
        Hold::AwaitingImage { failure: Some(failure), .. } => {
            let kind = ("failure_kind", word(&failure.kind));
            return with_words(with_words(json(hold), kind), ("failure", failure.to_string()));
        }
        Hold::Converged
        | Hold::Complete
        | Hold::RolloutFull { .. }
        | Hold::AwaitingHealth { .. }
        | Hold::AwaitingDependency { .. }
        | Hold::AwaitingImage { failure: None, .. }
        | Hold::Stopped
        | Hold::Suspended { .. }
        | Hold::RunsInDocker { .. }
        | Hold::NodeUnknown { .. }
        | Hold::ReportOnly => return json(hold),
    };
    with_words(json(hold), words)
}

/// A reason that can be shown, with the words that its data has beside it.
fn json_of_reason(reason: &Reason) -> serde_json::Value {
    let shown = json(&without_values(reason));
    match reason {
        Reason::Failed { cause } => with_words(shown, ("what", of_failure(cause))),
        Reason::Follows { leader } => with_words(shown, ("service", leader.to_string())),
        _ => shown,
    }
}

fn with_words(mut value: serde_json::Value, (key, words): (&str, String)) -> serde_json::Value {
    let mut variants = value.as_object_mut().into_iter().flat_map(|object| object.values_mut());
    if let Some(variant) = variants.next().and_then(|variant| variant.as_object_mut()) {
        variant.insert(key.to_owned(), words.into());
    }
    value
}

/// The name of a variant, as it is stored.
fn word(value: &impl Serialize) -> String {
    match json(value) {
        serde_json::Value::String(word) => word,
        serde_json::Value::Object(object) => object.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}
