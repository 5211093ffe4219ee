//! Networks, volumes, configs, secrets and models, each under its real name.

use super::tree;
use super::value::{self, Entry, Value};
use crate::item::{self, Item, Node};
use crate::keys::Place;
use crate::service::networks;
use crate::stack::Stack;

/// All sections that have something.
pub(super) fn all(stack: &Stack, model: &Item) -> Vec<Entry> {
    let mut sections = Vec::new();
    for key in ["networks", "volumes", "configs", "secrets", "models"] {
        let place = Place::root().key(key);
        let written = model.get(key).map(Item::entries).unwrap_or_default();
        let mut entries: Vec<Entry> = written
            .iter()
            .map(|entry| {
                let place = place.and_then(|place| place.key(&entry.key));
                value::entry(&entry.key, resource(stack, key, entry, place))
            })
            .collect();
        let default = networks::DEFAULT;
        if key == "networks"
            && stack.networks.contains_key(default)
            && !written.iter().any(|entry| entry.key == default)
        {
            let name = value::text(&format!("{}_{default}", stack.name), None);
            entries.push(value::entry(default, value::map(vec![value::entry("name", name)], None)));
        }
        if !entries.is_empty() {
            let at = model.get(key).map(|item| &item.span);
            sections.push(value::entry(key, value::map(entries, at)));
        }
    }
    sections
}

fn resource(stack: &Stack, section: &str, entry: &item::Entry, place: Option<&Place>) -> Value {
    let mut entries = Vec::new();
    for below in entry.value.entries().iter().filter(|below| !below.value.is_null()) {
        let place = place.and_then(|place| place.key(&below.key));
        let value = match (below.key.as_str(), &below.value.node) {
            ("name", _) => continue,
            // The old form; its name stands beside it now.
            ("external", Node::Map(_)) => value::boolean(true, Some(&below.value.span)),
            ("file", _) => tree::path(&below.value),
            _ => tree::value(&below.value, place),
        };
        entries.push(value::entry(&below.key, value));
    }
    if section != "models" {
        entries.push(value::entry("name", name(stack, section, entry)));
    } else if let Some(name) = entry.value.get("name") {
        entries.push(value::entry("name", tree::value(name, None)));
    }
    value::map(entries, Some(&entry.at))
}

/// Whether there is something: not null, nor the empty text that a variable leaves that is not set.
fn given(item: &&Item) -> bool {
    !item.is_null() && item.text() != Some("")
}

/// The name as written, else the one that the stack gives it.
fn name(stack: &Stack, section: &str, entry: &item::Entry) -> Value {
    let external = entry.value.get("external");
    let old = external.and_then(|external| external.get("name"));
    if let Some(item) = entry.value.get("name").filter(given).or(old.filter(given)) {
        return value::text(item.text().unwrap_or_default(), Some(&item.span));
    }
    let is_external = match section {
        "networks" => stack.networks.get(&entry.key).is_some_and(|network| network.external),
        "volumes" => stack.volumes.get(&entry.key).is_some_and(|volume| volume.external),
        _ => external.and_then(Item::text).and_then(tree::flag).unwrap_or_default(),
    };
    let name = match is_external {
        true => entry.key.clone(),
        false => format!("{}_{}", stack.name, entry.key),
    };
    value::text(&name, None)
}
