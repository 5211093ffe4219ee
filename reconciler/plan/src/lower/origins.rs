//! Origins beside the specification, with the text of their lines.

use crate::desired::{Origin, Origins};
use keel_spec::{Service, Span, Stack};

/// Those of a service. What belongs to no field (its process) is said to come from its name.
pub(super) fn of(service: &Service, stack: &Stack) -> Origins {
    let mut origins: Origins = service
        .origins
        .iter()
        .map(|(path, span)| (path.to_owned(), origin(span, path, stack)))
        .collect();
    let key = stack.origins.get(&format!("services.{}", service.name));
    if let Some(span) = key.or_else(|| service.origins.get("image")) {
        origins.entry("process".into()).or_insert_with(|| origin(span, "process", stack));
    }
    origins
}

/// A span with its line. Lines that hold a password are not copied into records: those of a
/// variable that is named like one, and all of env files.
pub(super) fn origin(span: &Span, path: &str, stack: &Stack) -> Origin {
    let yaml = span.file.ends_with(".yaml") || span.file.ends_with(".yml");
    let secret = path.starts_with("environment") && (looks_secret(path) || !yaml);
    let line = stack.texts.line(&span.file, span.line).filter(|_| !secret);
    Origin {
        file: span.file.to_string(),
        line: span.line,
        column: span.column,
        len: span.len,
        text: line.unwrap_or_default().to_owned(),
    }
}

fn looks_secret(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "cred", "auth", "dsn", "url"]
        .iter()
        .any(|word| path.contains(word))
}

/// Sorts a list whose items know their index in the file, and moves the origins with them.
pub(super) fn sorted<T, K: Ord>(
    mut items: Vec<(usize, T)>,
    field: &str,
    origins: &mut Origins,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    items.sort_by_key(|(_, item)| key(item));
    let moved: Vec<(String, Origin)> = items
        .iter()
        .enumerate()
        .flat_map(|(new, (old, _))| {
            below(origins, &format!("{field}[{old}]"), &format!("{field}[{new}]"))
        })
        .collect();
    origins.retain(|path, _| !path.starts_with(&format!("{field}[")));
    origins.extend(moved);
    items.into_iter().map(|(_, item)| item).collect()
}

/// Moves the origins of a key, and of what is below it, to where the specification has it.
pub(super) fn renamed(origins: &mut Origins, old: &str, new: &str) {
    let moved = below(origins, old, new);
    let is_old = |path: &str| path.strip_prefix(old).is_some_and(is_below);
    origins.retain(|path, _| !is_old(path));
    origins.extend(moved);
}

/// The origins at a path and below it, at another path.
fn below(origins: &Origins, old: &str, new: &str) -> Vec<(String, Origin)> {
    let moved = origins.iter().filter_map(|(path, origin)| {
        let rest = path.strip_prefix(old).filter(|rest| is_below(rest))?;
        Some((format!("{new}{rest}"), origin.clone()))
    });
    moved.collect()
}

/// Whether the rest of a path begins a part of its own.
fn is_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', '['])
}
