//! `env_file` and `label_file`: variables and labels of a service in files of their own.

use std::collections::BTreeMap;

use crate::decode::Field;
use crate::dotenv;
use crate::environment::Environment;
use crate::files::Kind;
use crate::interpolate::Variables;
use crate::source::Sources;
use crate::span::{Span, Via};

/// What a variable is looked up in while an env file is read: the project's, then the
/// service's own, then what files before it said.
struct Scope<'a> {
    project: &'a Environment,
    own: &'a BTreeMap<String, Option<String>>,
    files: BTreeMap<String, (Option<String>, Span)>,
}

impl Variables for Scope<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let own = || self.own.get(name)?.as_deref();
        let file = || self.files.get(name)?.0.as_deref();
        self.project.value(name).or_else(own).or_else(file)
    }
}

/// Completes the environment of a service: env files below it, and the project's values for
/// names that stand alone.
pub(crate) fn complete(
    service: &Field<'_>,
    own: BTreeMap<String, Option<String>>,
    project: &Environment,
    sources: &Sources<'_>,
) -> BTreeMap<String, Option<String>> {
    let mut known = Scope { project, own: &own, files: BTreeMap::new() };
    for field in service.get("env_file").map(|field| field.list()).unwrap_or_default() {
        field.mark();
        let found = read(&field, &known, sources).unwrap_or_default();
        for (name, value, at) in found {
            let at = at.through(Via::EnvFile, field.place().clone());
            known.files.insert(name, (value, at));
        }
    }
    let mut whole = BTreeMap::new();
    for (name, (value, at)) in known.files {
        if !own.contains_key(&name) {
            service.scope.origin(format!("environment.{name}"), &at);
            whole.insert(name, value);
        }
    }
    for (name, value) in own {
        let value = value.or_else(|| passed_on(service, &name, project));
        whole.insert(name, value);
    }
    whole
}

/// The project's value for a name that stands alone.
fn passed_on(service: &Field<'_>, name: &str, project: &Environment) -> Option<String> {
    let variable = project.get(name)?;
    let key = service.get("environment").and_then(|field| field.raw(name));
    if let (Some(key), Some(at)) = (key, &variable.at) {
        let span = key.place().clone().through(Via::Variable(name.to_owned()), at.clone());
        service.scope.origin(key.path, &span);
    }
    Some(variable.value.clone())
}

/// Completes the labels of a service: label files below them.
pub(crate) fn complete_labels(
    service: &Field<'_>,
    own: BTreeMap<String, String>,
    project: &Environment,
    sources: &Sources<'_>,
) -> BTreeMap<String, String> {
    let mut whole = BTreeMap::new();
    for field in service.get("label_file").map(|field| field.list()).unwrap_or_default() {
        let Some(path) = field.host_path() else { continue };
        let Some(source) = sources.read(&path.path(), Some(field.place())) else { continue };
        for (name, value, at) in sources.assignments(&source, dotenv::parse(&source.text, project))
        {
            if !own.contains_key(&name) {
                let at = at.through(Via::LabelFile, field.place().clone());
                service.scope.origin(format!("labels.{name}"), &at);
            }
            whole.insert(name, value.unwrap_or_default());
        }
    }
    whole.extend(own);
    whole
}

/// The assignments of one env file.
fn read(
    field: &Field<'_>,
    known: &Scope<'_>,
    sources: &Sources<'_>,
) -> Option<Vec<(String, Option<String>, Span)>> {
    let (path, required, format) = match field.item.text() {
        Some(_) => (field.clone(), true, None),
        None => {
            let Some(path) = field.get("path") else {
                return field.lacks("path", "a file, or a mapping");
            };
            let required = field.get("required").and_then(|field| field.boolean()).unwrap_or(true);
            (path, required, field.get("format"))
        }
    };
    let raw = match format {
        Some(format) => format.choice(&[("raw", true)])?,
        None => false,
    };
    let file = path.host_path()?.path();
    if !required && sources.kind(&file) == Kind::Missing {
        return None;
    }
    let source = sources.read(&file, Some(path.place()))?;
    let parse = if raw { dotenv::parse_raw } else { dotenv::parse };
    let mut found = sources.assignments(&source, parse(&source.text, known));
    // A name that stands alone and that nobody sets says nothing.
    found.retain(|(_, value, _)| value.is_some());
    Some(found)
}
