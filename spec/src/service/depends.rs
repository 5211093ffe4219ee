//! What must be there before a service starts.

use std::collections::BTreeMap;

use crate::decode::Field;

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
    if let Some(field) = service.given("network_mode")
        && let Some(name) = field.item.text().and_then(|text| text.strip_prefix("service:"))
    {
        let implied = Dependency { restart: true, ..Dependency::default() };
        service.scope.origin(format!("depends_on.{name}"), field.place());
        dependencies.entry(name.to_owned()).or_insert(implied);
    }
    dependencies
}

fn dependency(field: &Field<'_>) -> Option<Dependency> {
    let conditions = [
        ("service_started", Condition::Started),
        ("service_healthy", Condition::Healthy),
        ("service_completed_successfully", Condition::Completed),
    ];
    service_place(field);
    let flag = |key| field.get(key).and_then(|field| field.boolean());
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
