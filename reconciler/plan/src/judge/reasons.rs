//! Why a task is replaced, with the place in the file that says so.

use super::one_slot::Judge;
use super::person::asked;
use crate::desired::{Origin, Origins, locate};
use crate::facts::short;
use crate::verdict::Reason;
use crate::why::{Followed, PersonsCommand};
use keel_engine::fields::row_of;
use keel_engine::{Difference, FieldPath, Finding, ObservedTask, Value, diff};

impl Judge<'_, '_> {
    pub(super) fn difference(&self, old: &ObservedTask) -> Reason {
        let differences = diff(&old.spec, &self.want.spec);
        if !differences.is_empty() {
            let differences = located(differences, &self.want.service.origins);
            return Reason::Changed { differences };
        }
        if let Some(from) = self.facts.node_of(&old.id).filter(|node| *node != self.want.node) {
            let because = self.want.spot.moved().cloned();
            return Reason::Moved { from: from.clone(), because };
        }
        let recreate = self.facts.standing.recreate.get(&short(self.slot));
        match recreate.filter(|recreate| recreate.task == old.id) {
            Some(recreate) => match &recreate.moved {
                Some((from, to)) => Reason::ImageMoved { from: *from, to: *to },
                None => asked(PersonsCommand::Recreate),
            },
            None => match &self.want.spec.network_mode {
                keel_engine::NetworkMode::Service(host) => {
                    Reason::Follows { leader: Followed::Service(host.clone()) }
                }
                _ => Reason::Missing,
            },
        }
    }
}

/// Findings that count: those that healed by themselves are only shown.
pub(super) fn open(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|finding| !finding.fixed).cloned().collect()
}

pub(super) fn located(
    differences: Vec<Difference>,
    origins: &Origins,
) -> Vec<(Difference, Option<Origin>)> {
    let at = |difference: &Difference| locate(origins, path(difference)).cloned();
    differences
        .into_iter()
        .map(|difference| (at(&difference), difference))
        .map(|(a, b)| (b, a))
        .collect()
}

/// The path of the first key or item that differs.
fn path(difference: &Difference) -> FieldPath {
    let field = difference.field;
    // A part with a name of its own: `networks.shop_default.aliases`.
    if difference.name != row_of(field).name {
        return difference.name.as_str().into();
    }
    match (&difference.from, &difference.to) {
        (from, Value::Map(to)) => {
            let old = |key: &String| match from {
                Value::Map(from) => from.get(key),
                _ => None,
            };
            let key = to.iter().find(|(key, value)| old(key) != Some(*value)).map(|(key, _)| key);
            key.map_or(FieldPath::Row(field), |key| FieldPath::Key(field, key.clone()))
        }
        (from, Value::List(to)) => {
            let old = |index: usize| match from {
                Value::List(from) => from.get(index),
                _ => None,
            };
            let index = to.iter().enumerate().find(|(i, item)| old(*i) != Some(*item));
            index.map_or(FieldPath::Row(field), |(index, _)| FieldPath::Item(field, index))
        }
        _ => FieldPath::Row(field),
    }
}
