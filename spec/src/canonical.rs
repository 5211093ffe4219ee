//! Short forms to the one form that merging and decoding see, file by file: lists of `K=V` to
//! mappings, names to mappings, a single text to a list. What has the wrong shape is left as it
//! is, for decoding to name.

use crate::code::Code;
use crate::item::{Entry, Item, Node, Scalar};
use crate::problem::{Problem, Problems};

/// Brings one file's tree to its canonical form.
pub(crate) fn canonical(root: &mut Item, problems: &Problems) {
    each(root.get_mut("services"), |service| canonical_service(service, problems));
    for section in ["networks", "volumes", "configs", "secrets"] {
        each(root.get_mut(section), |item| pairs(item.get_mut("labels"), problems));
    }
}

fn each(map: Option<&mut Item>, mut change: impl FnMut(&mut Item)) {
    for entry in map.and_then(Item::entries_mut).into_iter().flatten() {
        change(&mut entry.value);
    }
}

fn canonical_service(service: &mut Item, problems: &Problems) {
    for entry in service.entries_mut().into_iter().flatten() {
        let value = &mut entry.value;
        match entry.key.as_str() {
            "environment" | "labels" | "annotations" | "sysctls" => pairs(Some(value), problems),
            "dns" | "dns_search" | "dns_opt" | "tmpfs" | "env_file" | "label_file" => single(value),
            "depends_on" => names(value, |item| {
                let condition = item.scalar_here(Scalar::quoted("service_started"));
                let at = item.span.clone();
                item.here(Node::Map(vec![Entry { key: "condition".into(), at, value: condition }]))
            }),
            "networks" | "models" => names(value, null),
            "build" => canonical_build(value, problems),
            "deploy" => pairs(value.get_mut("labels"), problems),
            "extra_hosts" => host_list(value),
            _ => {}
        }
    }
}

fn canonical_build(build: &mut Item, problems: &Problems) {
    if build.text().is_some() {
        let context = Item { tag: crate::item::Tag::None, ..build.clone() };
        let at = build.span.clone();
        build.node = Node::Map(vec![Entry { key: "context".into(), at, value: context }]);
        return;
    }
    for key in ["args", "labels", "additional_contexts"] {
        pairs(build.get_mut(key), problems);
    }
    if let Some(hosts) = build.get_mut("extra_hosts") {
        host_list(hosts);
    }
}

fn null(item: &Item) -> Item {
    item.scalar_here(Scalar { text: String::new(), plain: true, lead: None })
}

/// `[A=1, B]` to `{A: "1", B: null}`; of equal names the last one counts, in the first's place.
fn pairs(item: Option<&mut Item>, problems: &Problems) {
    let Some(item) = item else { return };
    let Node::List(items) = &item.node else { return };
    let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
    let mut places = std::collections::HashMap::new();
    for entry in items.iter().filter_map(|item| pair(item, problems)) {
        match places.get(&entry.key) {
            Some(place) => entries[*place] = entry,
            None => {
                places.insert(entry.key.clone(), entries.len());
                entries.push(entry);
            }
        }
    }
    item.node = Node::Map(entries);
}

fn pair(item: &Item, problems: &Problems) -> Option<Entry> {
    let Some(text) = item.text() else {
        let problem = Problem::new(
            Code::WrongType,
            format!("an item must be `NAME=value`, and is {}", item.what()),
        );
        let hint = "write `- NAME=value`, or `NAME: value` without the dash";
        problems.add(problem.at(item.span.clone()).hint(hint));
        return None;
    };
    let split = text.find('=');
    let name = &text[..split.unwrap_or(text.len())];
    if name.trim_end() != name {
        let message = format!("the name `{name}` ends in a space");
        let end = name.trim_end().len()..name.len();
        problems.add(Problem::new(Code::BadValue, message).at(item.slice(end)));
    }
    let value = match split {
        Some(at) => {
            let mut value = item.scalar_here(Scalar::quoted(&text[at + 1..]));
            value.span = item.slice(at + 1..text.len());
            value
        }
        None => null(item),
    };
    Some(Entry { key: name.to_owned(), at: item.slice(0..name.len()), value })
}

/// `x` to `[x]`.
fn single(item: &mut Item) {
    if item.text().is_some() {
        let only = Item { tag: crate::item::Tag::None, ..item.clone() };
        item.node = Node::List(vec![only]);
    }
}

/// `[a, b]` to `{a: …, b: …}`.
fn names(item: &mut Item, value: impl Fn(&Item) -> Item) {
    let Node::List(items) = &item.node else { return };
    if items.iter().any(|item| item.text().is_none()) {
        return;
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
    let mut seen = std::collections::HashSet::new();
    for item in items {
        let key = item.text().unwrap_or_default().to_owned();
        if seen.insert(key.clone()) {
            entries.push(Entry { key, at: item.span.clone(), value: value(item) });
        }
    }
    item.node = Node::Map(entries);
}

/// `{host: ip, other: [ip, ip]}` to `[host=ip, …]`.
fn host_list(item: &mut Item) {
    let Node::Map(entries) = &item.node else { return };
    let mut lines = Vec::new();
    for entry in entries {
        let addresses = match &entry.value.node {
            Node::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        for address in addresses {
            let text = format!("{}={}", entry.key, address.text().unwrap_or_default());
            let span = if address.span.len > 0 { &address.span } else { &entry.at };
            lines.push(Item { span: span.clone(), ..address.scalar_here(Scalar::quoted(text)) });
        }
    }
    item.node = Node::List(lines);
}
