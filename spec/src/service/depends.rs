//! What must be there before a service starts.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::decode::Field;
use crate::problem::Problem;
use crate::span::Span;

/// One entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// Whether it is an error that it is not there.
    pub required: bool,
    /// Whether the service is restarted when the dependency was.
    pub restart: bool,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Its processes run.
    #[default]
    Started,
    /// All its replicas are healthy.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

impl Default for Dependency {
    fn default() -> Self {
        Self { condition: Condition::Started, required: true, restart: false }
    }
}

/// Reads `depends_on`, and what other keys imply.
pub(crate) fn decode(service: &Field<'_>) -> BTreeMap<String, Dependency> {
    let entries = service.get("depends_on").map(|field| field.entries()).unwrap_or_default();
    let one = |(name, field): (&str, Field<'_>)| Some((name.to_owned(), dependency(&field)?));
    let mut dependencies: BTreeMap<_, _> = entries.into_iter().filter_map(one).collect();
    for (name, at, restart) in implied(service) {
        dependencies.entry(name).or_insert_with_key(|name| {
            service.scope.origin(format!("depends_on.{name}"), &at);
            Dependency { restart, ..Dependency::default() }
        });
    }
    dependencies
}

/// Services that other keys name: whose namespace is shared, whose name is linked, whose mounts
/// are taken over; with whether a restart of one restarts this one.
fn implied(service: &Field<'_>) -> Vec<(String, Span, bool)> {
    let mut found = Vec::new();
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let field = service.given(key);
        let name = field.as_ref().and_then(|field| field.item.text()?.strip_prefix("service:"));
        if let (Some(name), Some(field)) = (name, &field) {
            found.push((name.to_owned(), field.place().clone(), true));
        }
    }
    for (key, restart) in [("links", true), ("volumes_from", false)] {
        let items = service.get(key).map(|field| field.item.items()).unwrap_or_default();
        for item in items {
            let mut parts = item.text().unwrap_or_default().split(':');
            let name = match parts.next() {
                Some("container") => None,
                Some("service") => parts.next(),
                name => name,
            };
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                found.push((name.to_owned(), item.span.clone(), restart));
            }
        }
    }
    found
}

fn dependency(field: &Field<'_>) -> Option<Dependency> {
    let conditions = [
        ("service_started", Condition::Started),
        ("service_healthy", Condition::Healthy),
        ("service_completed_successfully", Condition::Completed),
    ];
    service_place(field);
    let flag = |key| field.get(key).and_then(|field| field.boolean());
    let words = ["condition", "required", "restart"];
    if let Some(word) = words.into_iter().find(|word| field.path == format!("depends_on.{word}"))
        && field.item.text().is_some()
    {
        let message = format!("{} is not a service", field.name());
        let problem = Problem::new(Code::WrongType, message).at(field.key.clone());
        field.scope.add(problem.hint(format!("indent `{word}` below the service it is about")));
        return None;
    }
    let Some(condition) = field.get("condition") else {
        return field.lacks("condition", "a mapping");
    };
    Some(Dependency {
        condition: condition.choice(&conditions)?,
        required: flag("required").unwrap_or(true),
        restart: flag("restart").unwrap_or_default(),
    })
}

/// A dependency is found by its name, the key.
fn service_place(field: &Field<'_>) {
    field.scope.origin(field.path.clone(), field.key);
}
