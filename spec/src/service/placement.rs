//! Where a service's tasks may run, and what their nodes keep for them.

use keel_names::constraint::{Constraint, node_label};
use keel_names::platform;

use crate::code::Code;
use crate::decode::{Field, shorten};
use crate::problem::Problem;
use crate::scalar::NanoCpus;

/// `deploy.placement`, `deploy.resources.reservations` and `platform`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// What each of its nodes must be; `constraints[i]` has the origin `deploy.placement.constraints[i]`.
    pub constraints: Vec<Constraint>,
    /// What `platform` asks of each of them.
    pub platform: Vec<Constraint>,
    /// Labels of nodes over whose values the tasks are spread, the first before the others.
    pub spread: Vec<String>,
    /// How many tasks a node takes at most; absent: any number.
    pub max_per_node: Option<u32>,
    /// CPU time that a node must have left for each task.
    pub reserved_cpus: Option<NanoCpus>,
    /// Memory that a node must have left for each task, in bytes.
    pub reserved_memory: Option<u64>,
}

impl Placement {
    /// Reads all three.
    pub(crate) fn decode(service: &Field<'_>) -> Self {
        let deploy = service.get("deploy");
        let placement = deploy.as_ref().and_then(|deploy| deploy.get("placement"));
        let below = |key: &str| placement.as_ref().and_then(|placement| placement.get(key));
        let items = |key: &str| below(key).map(|field| field.list()).unwrap_or_default();
        let reserved = |key: &str, field: &'static str| {
            let kept = deploy.as_ref()?.get("resources")?.get("reservations")?.get(key)?;
            service.scope.origin(field, kept.place());
            Some(kept)
        };
        let cpus = reserved("cpus", "reserved_cpus");
        let memory = reserved("memory", "reserved_memory");
        Self {
            constraints: items("constraints").iter().filter_map(constraint).collect(),
            platform: service.get("platform").and_then(|field| asked(&field)).unwrap_or_default(),
            spread: items("preferences").iter().filter_map(spread).collect(),
            max_per_node: below("max_replicas_per_node")
                .and_then(|field| field.whole())
                .filter(|max| *max > 0),
            reserved_cpus: cpus
                .and_then(|field| super::limits::cpus(&field))
                .filter(|cpus| cpus.0 > 0),
            reserved_memory: memory
                .and_then(|field| super::limits::memory(&field))
                .filter(|bytes| *bytes > 0),
        }
    }
}

fn constraint(field: &Field<'_>) -> Option<Constraint> {
    let text = field.text()?;
    match Constraint::parse(&text) {
        Ok(constraint) => Some(constraint),
        Err(error) => {
            let message = format!("{} is `{}`: {error}", field.name(), shorten(&text));
            let problem = Problem::new(Code::BadValue, message).at(field.place().clone());
            field.scope.add(problem.hint(error.hint()));
            None
        }
    }
}

fn asked(field: &Field<'_>) -> Option<Vec<Constraint>> {
    let text = field.text()?;
    match platform::asked(&text) {
        Ok(constraints) => Some(constraints),
        Err(error) => {
            let message = format!("{} is `{}`: {error}", field.name(), shorten(&text));
            let problem = Problem::new(Code::BadValue, message).at(field.place().clone());
            field.scope.add(problem.hint(error.hint()));
            None
        }
    }
}

fn spread(field: &Field<'_>) -> Option<String> {
    let Some(over) = field.get("spread") else { return field.lacks("spread", "a mapping") };
    let text = over.text()?;
    let label = node_label(&text).map(str::to_owned);
    if label.is_none() {
        let message =
            format!("{} is `{}`, which names no label of nodes", over.name(), shorten(&text));
        let problem = Problem::new(Code::BadValue, message).at(over.place().clone());
        over.scope.add(problem.hint("write `node.labels.NAME`"));
    }
    label
}
