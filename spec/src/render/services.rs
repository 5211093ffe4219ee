//! Services: what is typed comes from the typed model, everything else from the merged tree.

mod grant_entries;
mod mount_entries;
mod port_entries;

use std::collections::BTreeSet;

use super::tree;
use super::value::{self, Entry, Value};
use crate::item::{self, Item, Node, Type};
use crate::keys::Place;
use crate::service::{Condition, NetworkMode, Service, networks};
use crate::stack::Stack;

/// All that profiles enable.
pub(super) fn all(stack: &Stack, model: &Item) -> Value {
    let written = model.get("services").map(Item::entries).unwrap_or_default();
    let enabled = written.iter().filter_map(|entry| {
        let service = stack.services.get(&entry.key).filter(|service| service.enabled)?;
        Some(value::entry(&entry.key, self::service(service, &entry.value)))
    });
    value::map(enabled.collect(), None)
}

/// Keys whose work is done. What profiles enable is what is rendered: were they still there, the
/// service would be gone when it is loaded without them.
const DONE: &[&str] = &["extends", "env_file", "label_file", "profiles"];

fn service(service: &Service, item: &Item) -> Value {
    let place = Place::root().key("services").and_then(|place| place.key(&service.name));
    let written = item
        .entries()
        .iter()
        .filter(|entry| !DONE.contains(&entry.key.as_str()) && !entry.value.is_null());
    let mut entries: Vec<Entry> = written
        .filter_map(|entry| {
            let place = place.and_then(|place| place.key(&entry.key));
            Some(value::entry(&entry.key, key(service, entry, place)?))
        })
        .collect();
    entries.extend(implied(service, item));
    value::map(entries, service.origins.get(""))
}

/// The value of one key; absent where another place has it.
fn key(service: &Service, entry: &item::Entry, place: Option<&Place>) -> Option<Value> {
    let item = &entry.value;
    Some(match entry.key.as_str() {
        // Those that other files or other keys complete.
        "environment" | "labels" | "depends_on" => return None,
        "networks" if !matches!(service.networking.mode, NetworkMode::Networks(_)) => return None,
        "networks" if item.entries().is_empty() => return None,
        "build" => build(item, place),
        "configs" => grant_entries::list(item, place),
        "develop" => develop(item, place),
        "devices" => grant_entries::devices(item),
        "dns" | "dns_search" | "dns_opt" => given(item),
        "extra_hosts" => hosts(item),
        "healthcheck" => health(item, place),
        "networks" => attachments(item, place),
        "ports" => port_entries::list(item),
        "restart" => restart(item),
        "ulimits" => ulimits(item),
        "secrets" => grant_entries::list(item, place),
        "volumes" => mount_entries::list(item, place),
        _ => tree::value(item, place),
    })
}

/// What is there without the service's own file saying so, or with more than it says.
fn implied(service: &Service, item: &Item) -> Vec<Entry> {
    let at = |path: String| service.origins.get(&path);
    let mut entries = Vec::new();
    if !service.process.environment.is_empty() || item.get("environment").is_some() {
        let variable = |(name, value): (&String, &Option<String>)| {
            let at = at(format!("environment.{name}"));
            let value =
                value.as_ref().map_or_else(|| value::null(at), |text| value::text(text, at));
            value::entry(name, value)
        };
        let variables = service.process.environment.iter().map(variable).collect();
        entries.push(value::entry("environment", value::map(variables, at("environment".into()))));
    }
    if !service.labels.is_empty() {
        let label = |(name, text): (&String, &String)| {
            value::entry(name, value::text(text, at(format!("labels.{name}"))))
        };
        let labels = service.labels.iter().map(label).collect();
        entries.push(value::entry("labels", value::map(labels, at("labels".into()))));
    }
    if !service.depends_on.is_empty() {
        entries.push(value::entry("depends_on", dependencies(service, item)));
    }
    if let NetworkMode::Networks(names) = &service.networking.mode
        && item.get("networks").is_none_or(|networks| networks.entries().is_empty())
        && names.contains_key(networks::DEFAULT)
    {
        let default = value::entry(networks::DEFAULT, value::null(None));
        entries.push(value::entry("networks", value::map(vec![default], None)));
    }
    entries
}

fn dependencies(service: &Service, item: &Item) -> Value {
    let written = item.get("depends_on");
    let one = |(name, dependency): (&String, &crate::service::Dependency)| {
        let path = format!("depends_on.{name}");
        let at = |key: &str| {
            let below = service.origins.get(&format!("{path}.{key}"));
            below.or_else(|| service.origins.get(&path))
        };
        let condition = match dependency.condition {
            Condition::Started => "service_started",
            Condition::Healthy => "service_healthy",
            Condition::Completed => "service_completed_successfully",
        };
        let mut entries = vec![
            value::entry("condition", value::text(condition, at("condition"))),
            value::entry("required", value::boolean(dependency.required, at("required"))),
        ];
        if dependency.restart {
            entries.push(value::entry("restart", value::boolean(true, at("restart"))));
        }
        let own = written.and_then(|written| written.get(name)).map(Item::entries);
        let own = own.unwrap_or_default().iter().filter(|entry| entry.key.starts_with("x-"));
        entries.extend(own.map(|entry| tree::entry(entry, None)));
        value::entry(name, value::map(entries, service.origins.get(&path)))
    };
    value::map(service.depends_on.iter().map(one).collect(), written.map(|item| &item.span))
}

fn build(item: &Item, place: Option<&Place>) -> Value {
    let contexts = |entry: &item::Entry| {
        let text = entry.value.text().unwrap_or_default();
        let name =
            text.contains("://") || text.starts_with("service:") || text.starts_with("target:");
        let value = if name {
            value::text(text, Some(&entry.value.span))
        } else {
            tree::path(&entry.value)
        };
        value::entry(&entry.key, value)
    };
    let one = |entry: &item::Entry| {
        let place = place.and_then(|place| place.key(&entry.key));
        let value = match entry.key.as_str() {
            "context" if !is_remote(entry.value.text().unwrap_or_default()) => {
                tree::path(&entry.value)
            }
            "additional_contexts" => {
                value::map(entry.value.entries().iter().map(contexts).collect(), Some(&entry.at))
            }
            "secrets" => grant_entries::list(&entry.value, place),
            _ => tree::value(&entry.value, place),
        };
        value::entry(&entry.key, value)
    };
    let entries = item.entries().iter().filter(|entry| !entry.value.is_null());
    value::map(entries.map(one).collect(), Some(&item.span))
}

/// Whether a build's context is fetched from elsewhere.
fn is_remote(context: &str) -> bool {
    ["https://", "http://", "git://", "ssh://", "github.com/", "git@"]
        .into_iter()
        .any(|start| context.starts_with(start))
}

fn develop(item: &Item, place: Option<&Place>) -> Value {
    let mut item = item.clone();
    let watches = item.get_mut("watch").map(|watch| &mut watch.node);
    if let Some(Node::List(watches)) = watches {
        for path in watches.iter_mut().filter_map(|watch| watch.get_mut("path")) {
            let whole = crate::files::tidy(&path.base.join(path.text().unwrap_or_default()));
            if let Node::Scalar(scalar) = &mut path.node {
                scalar.text = whole.to_string_lossy().into_owned();
            }
        }
    }
    tree::value(&item, place)
}

fn health(item: &Item, place: Option<&Place>) -> Value {
    let one = |entry: &item::Entry| match entry.value.text() {
        Some(line) if entry.key == "test" => {
            let at = Some(&entry.value.span);
            let words = ["CMD-SHELL", line].map(|word| value::text(word, at));
            value::entry("test", value::list(words.into(), at))
        }
        _ => tree::entry(entry, place.and_then(|place| place.key(&entry.key))),
    };
    let entries = item.entries().iter().filter(|entry| !entry.value.is_null());
    value::map(entries.map(one).collect(), Some(&item.span))
}

/// A service that says nothing of a network is on it like one that names it only.
fn attachments(item: &Item, place: Option<&Place>) -> Value {
    let one = |entry: &item::Entry| {
        let place = place.and_then(|place| place.key(&entry.key));
        let value = match &entry.value.node {
            Node::Map(below) if below.is_empty() => value::null(Some(&entry.at)),
            _ => tree::value(&entry.value, place),
        };
        value::entry(&entry.key, value)
    };
    value::map(item.entries().iter().map(one).collect(), Some(&item.span))
}

/// A list without the empty texts that unset variables leave.
fn given(item: &Item) -> Value {
    let texts = item.items().iter().filter_map(|item| Some((item.text()?, item)));
    let given = texts.filter(|(text, _)| !text.is_empty());
    let values = given.map(|(text, item)| value::text(text, Some(&item.span)));
    value::list(values.collect(), Some(&item.span))
}

/// `HOST=ADDRESS` in its one form, each once.
fn hosts(item: &Item) -> Value {
    let mut seen = BTreeSet::new();
    let one = |item: &Item| {
        let text = item.text().unwrap_or_default();
        let split = text.find('=').or_else(|| text.find(':')).unwrap_or(text.len());
        let address = text.get(split + 1..).unwrap_or_default().trim();
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let line = format!("{}={address}", text[..split].trim());
        seen.insert(line.clone()).then(|| value::text(&line, Some(&item.span)))
    };
    let lines = item.items().iter().filter_map(one).collect();
    value::list(lines, Some(&item.span))
}

/// `no` without quotes is a boolean to some readers.
fn restart(item: &Item) -> Value {
    let text = item.text().unwrap_or_default();
    let text = if matches!(text, "false" | "") { "no" } else { text };
    value::text(text, Some(&item.span))
}

fn ulimits(item: &Item) -> Value {
    let number = |item: &Item| match item.as_scalar() {
        Some(scalar) if scalar.ty() == Type::Int || scalar.text.parse::<i64>().is_ok() => {
            value::number(&scalar.text, Some(&item.span))
        }
        _ => tree::value(item, None),
    };
    let one = |entry: &item::Entry| {
        let value = match &entry.value.node {
            Node::Map(limits) => {
                let limits =
                    limits.iter().map(|limit| value::entry(&limit.key, number(&limit.value)));
                value::map(limits.collect(), Some(&entry.value.span))
            }
            _ => number(&entry.value),
        };
        value::entry(&entry.key, value)
    };
    value::map(item.entries().iter().map(one).collect(), Some(&item.span))
}
