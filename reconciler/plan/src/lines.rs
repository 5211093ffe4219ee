//! A stack's meaning as lines, one for each value, and what differs between two of them: for
//! people, and for whoever reviews a change.
//!
//! # Invariants
//! - A value at its default has no line; where a value was written is no part of them. So equal
//!   lines mean that nothing would be replaced or changed.
//! - Content of configs and secrets is in them as its digest alone.
//! - A difference is a unified diff without context: each line carries its whole path.

use crate::desired::{Desired, DesiredService, Policy};
use crate::placement::Mode;
use keel_engine::Value;
use keel_engine::fields::FIELDS;
use schemars::JsonSchema;
use serde::Serialize;
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};

/// Values by path: `services.web.environment.TZ`.
pub type Lines = BTreeMap<String, String>;

/// All that a stack asks for.
#[must_use]
pub fn of(desired: &Desired) -> Lines {
    // The revision and the owner say where it comes from, not what it is; the hash is of it all.
    let Desired {
        stack: _,
        owner: _,
        revision: _,
        hash: _,
        services,
        networks,
        volumes,
        policy,
        confined: _,
    } = desired;
    let mut lines = Lines::new();
    for (name, one) in services {
        service(&mut lines, &format!("services.{name}"), one);
    }
    for (name, network) in networks {
        let path = format!("networks.{name}");
        flat(&mut lines, &path, &json(&network.spec));
        flag(&mut lines, &path, "external", network.external);
    }
    for (name, volume) in volumes {
        let path = format!("volumes.{name}");
        flat(&mut lines, &path, &json(&volume.spec));
        flag(&mut lines, &path, "external", volume.external);
    }
    if *policy != Policy::default() {
        flat(&mut lines, "x-keel", &json(policy));
    }
    lines
}

fn service(lines: &mut Lines, path: &str, service: &DesiredService) {
    let DesiredService {
        spec,
        fixed_name: _,
        replicas,
        placement,
        hash: _,
        depends_on,
        order,
        update,
        rollback,
        rollback_order,
        held,
        drift,
        settle,
        health_timeout,
        image_wait,
        run,
        origins: _,
    } = service;
    for row in FIELDS {
        value(lines, &format!("{path}.{}", row.name), (row.get)(spec));
    }
    if !placement.mode.is_global() {
        lines.insert(format!("{path}.deploy.replicas"), replicas.to_string());
    }
    if placement.mode != Mode::default() {
        flat(lines, &format!("{path}.deploy.mode"), &json(&placement.mode));
    }
    let below = format!("{path}.deploy.placement");
    for (index, constraint) in placement.constraints.iter().enumerate() {
        lines.insert(format!("{below}.constraints[{index}]"), constraint.to_string());
    }
    for (index, label) in placement.spread.iter().enumerate() {
        lines
            .insert(format!("{below}.preferences[{index}].spread"), format!("node.labels.{label}"));
    }
    flat(lines, &format!("{below}.max_replicas_per_node"), &json(&placement.max_per_node));
    for dependency in depends_on {
        flat(lines, &format!("{path}.depends_on.{}", dependency.service), &json(dependency));
    }
    flat(lines, &format!("{path}.deploy.update_config.order"), &json(order));
    flat(lines, &format!("{path}.deploy.update_config"), &json(update));
    flat(lines, &format!("{path}.deploy.rollback_config.order"), &json(rollback_order));
    flat(lines, &format!("{path}.deploy.rollback_config"), &json(rollback));
    for one in held {
        lines.insert(format!("{path}.{} (not run)", one.field), one.why.clone());
    }
    flat(lines, &format!("{path}.x-keel.drift"), &json(drift));
    flat(lines, &format!("{path}.x-keel.settle"), &json(settle));
    flat(lines, &format!("{path}.x-keel.health-timeout"), &json(health_timeout));
    flat(lines, &format!("{path}.x-keel.image-wait"), &json(image_wait));
    flat(lines, &format!("{path}.x-keel.run"), &json(run));
}

fn value(lines: &mut Lines, path: &str, value: Value) {
    match value {
        Value::Unset => {}
        Value::List(values) => {
            for (index, value) in values.into_iter().enumerate() {
                lines.insert(format!("{path}[{index}]"), value);
            }
        }
        Value::Map(values) => {
            lines.extend(values.into_iter().map(|(key, value)| (format!("{path}.{key}"), value)));
        }
        single => drop(lines.insert(path.to_owned(), single.to_string())),
    }
}

fn flag(lines: &mut Lines, path: &str, name: &str, on: bool) {
    if on {
        lines.insert(format!("{path}.{name}"), on.to_string());
    }
}

fn json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("what is stored as JSON is JSON")
}

fn flat(lines: &mut Lines, path: &str, value: &serde_json::Value) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| flat(lines, &format!("{path}.{key}"), value));
        }
        serde_json::Value::Array(values) => {
            let numbered = values.iter().enumerate();
            numbered.for_each(|(index, value)| flat(lines, &format!("{path}[{index}]"), value));
        }
        serde_json::Value::String(text) => drop(lines.insert(path.to_owned(), text.clone())),
        other => drop(lines.insert(path.to_owned(), other.to_string())),
    }
}

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Differing {
    /// What it was; `None`: nothing.
    pub from: Option<String>,
    /// Where.
    pub path: String,
    /// What it would be; `None`: nothing.
    pub to: Option<String>,
}

/// What differs, by path.
#[must_use]
pub fn differing(from: &Lines, to: &Lines) -> Vec<Differing> {
    let paths: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let both = paths.into_iter().map(|path| (path, from.get(path), to.get(path)));
    both.filter(|(_, from, to)| from != to)
        .map(|(path, from, to)| Differing {
            path: path.clone(),
            from: from.cloned(),
            to: to.cloned(),
        })
        .collect()
}

/// A unified diff; empty where nothing differs.
#[must_use]
pub fn unified(from: (&str, &Lines), to: (&str, &Lines)) -> String {
    let text =
        |lines: &Lines| lines.iter().map(|(path, value)| line(path, value)).collect::<String>();
    let (old, new) = (text(from.1), text(to.1));
    let diff = TextDiff::from_lines(&old, &new);
    diff.unified_diff().context_radius(0).header(from.0, to.0).to_string()
}

/// A value of several lines is still one.
fn line(path: &str, value: &str) -> String {
    format!("{}: {}\n", keel_plain::line(path), keel_plain::line(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        let pair = |line: &str| {
            let (path, value) = line.split_once(": ").expect("PATH: VALUE");
            (path.to_owned(), value.to_owned())
        };
        text.lines().map(|line| pair(line.trim())).collect()
    }

    #[test]
    fn what_differs_is_a_unified_diff() {
        let old = lines(
            "services.web.environment.A: 1
             services.web.environment.B: 2
             services.web.image: nginx:1
             services.web.mem_limit: 64MiB",
        );
        let new = lines(
            "services.db.image: postgres
             services.web.environment.A: 1
             services.web.image: nginx:2
             services.web.mem_limit: 64MiB
             services.web.read_only: true",
        );
        insta::assert_snapshot!(unified(("stored", &old), ("files", &new)), @r"
        --- stored
        +++ files
        @@ -0,0 +1 @@
        +services.db.image: postgres
        @@ -2,2 +3 @@
        -services.web.environment.B: 2
        -services.web.image: nginx:1
        +services.web.image: nginx:2
        @@ -4,0 +5 @@
        +services.web.read_only: true
        ");
        assert_eq!(unified(("stored", &old), ("files", &old)), "");
        assert_eq!(differing(&old, &new).len(), 4);
    }

    #[test]
    fn a_value_of_two_lines_is_one_line() {
        assert_eq!(line("a", "x\n\"y\" é"), "a: x\\n\"y\" é\n");
    }
}
