//! Later files over earlier ones, and services over those they extend: Compose's rule for each
//! key, on canonical trees.

use std::collections::{HashMap, HashSet};

use crate::code::Code;
use crate::item::{Entry, Item, Node, Tag};
use crate::problem::{Problem, Problems};
use crate::service::{mounts, ports};
use crate::span::{Link, Via};

/// How two values of one key become one.
enum Rule {
    /// Mappings entry by entry, lists one after the other, scalars by the later one.
    Deep,
    /// The later one, whole; null clears.
    Replace,
    /// Lists one after the other; of items with one identity the later, in the earlier's place.
    Unique(fn(&Item) -> Option<String>),
    /// As `Unique`, but items with one identity are merged.
    UniqueDeep(fn(&Item) -> Option<String>),
    /// Entry by entry when both name one driver, else the later.
    SameDriver,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, rest @ ..] => service_rule(rest),
        ["networks", _, "ipam", "config"] => Rule::UniqueDeep(|pool| field(pool, "subnet")),
        ["networks" | "volumes" | "configs" | "secrets", _, "labels", _] => Rule::Replace,
        _ => Rule::Deep,
    }
}

fn service_rule(path: &[&str]) -> Rule {
    match path {
        ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
        // Names with texts: one without a text is said again, and counts.
        ["environment" | "labels" | "annotations" | "sysctls", _]
        | ["build", "args" | "labels" | "additional_contexts", _]
        | ["deploy", "labels", _] => Rule::Replace,
        ["logging"] => Rule::SameDriver,
        ["ports"] => Rule::Unique(ports::identity),
        ["volumes"] => Rule::Unique(mounts::identity),
        ["devices"] => Rule::Unique(device),
        ["configs"] => Rule::Unique(|grant| granted(grant, "/")),
        ["secrets"] => Rule::Unique(|grant| granted(grant, "/run/secrets/")),
        ["env_file"] => Rule::Unique(|file| text(file).or_else(|| field(file, "path"))),
        ["post_start" | "pre_start" | "pre_stop"] | ["develop", ..] | ["blkio_config", ..] => {
            Rule::Deep
        }
        _ => Rule::Unique(text),
    }
}

fn text(item: &Item) -> Option<String> {
    item.text().map(str::to_owned)
}

fn field(item: &Item, key: &str) -> Option<String> {
    item.get(key).and_then(text)
}

fn device(item: &Item) -> Option<String> {
    let Some(text) = item.text() else {
        return field(item, "target").or_else(|| field(item, "source"));
    };
    let mut parts = text.split(':');
    let source = parts.next()?;
    Some(parts.next().unwrap_or(source).to_owned())
}

fn granted(item: &Item, folder: &str) -> Option<String> {
    let source = text(item).or_else(|| field(item, "source"))?;
    let target = field(item, "target").unwrap_or(source);
    Some(if target.starts_with('/') { target } else { format!("{folder}{target}") })
}

/// `over` on top of `base`; `path` is where in the file they are.
pub(crate) fn merge(base: Item, over: Item, path: &mut Vec<String>, problems: &Problems) -> Item {
    if over.tag == Tag::Override {
        return Item { tag: Tag::None, ..over };
    }
    let segments: Vec<&str> = path.iter().map(String::as_str).collect();
    match rule(&segments) {
        Rule::Replace => overriding(base, over),
        _ if over.is_null() => base,
        Rule::SameDriver if !same_driver(&base, &over) => overriding(base, over),
        rule => merge_nodes(base, over, &rule, path, problems),
    }
}

fn merge_nodes(
    base: Item,
    over: Item,
    rule: &Rule,
    path: &mut Vec<String>,
    problems: &Problems,
) -> Item {
    if base.is_null() {
        return over;
    }
    if std::mem::discriminant(&base.node) != std::mem::discriminant(&over.node) {
        return clash(base, &over, path, problems);
    }
    let Item { node, span, tag, base: folder } = base;
    let node = match (node, over.node) {
        (Node::Map(below), Node::Map(above)) => Node::Map(merge_maps(below, above, path, problems)),
        (Node::List(mut below), Node::List(above)) => {
            below.extend(above);
            Node::List(unique(below, rule, problems))
        }
        (node, above) => {
            let base = Item { node, span, tag, base: folder };
            return overriding(base, Item { node: above, ..over });
        }
    };
    Item { node, span, tag, base: folder }
}

fn clash(base: Item, over: &Item, path: &[String], problems: &Problems) -> Item {
    let key = path.join(".");
    let message = format!("`{key}` is {} here, and {} at {}", over.what(), base.what(), base.span);
    let problem = Problem::new(Code::Merge, message).at(over.span.clone());
    problems.add(problem.hint("use one form in both files, or `!override`"));
    base
}

fn overriding(base: Item, mut over: Item) -> Item {
    over.span.via.push(Link { how: Via::Overrides, at: base.span });
    over
}

fn same_driver(base: &Item, over: &Item) -> bool {
    match (field(base, "driver"), field(over, "driver")) {
        (Some(base), Some(over)) => base == over,
        _ => true,
    }
}

fn merge_maps(
    mut below: Vec<Entry>,
    above: Vec<Entry>,
    path: &mut Vec<String>,
    problems: &Problems,
) -> Vec<Entry> {
    let mut places: HashMap<String, usize> =
        below.iter().enumerate().map(|(place, entry)| (entry.key.clone(), place)).collect();
    let mut gone = HashSet::new();
    for entry in above {
        let Some(&place) = places.get(&entry.key) else {
            places.insert(entry.key.clone(), below.len());
            below.push(entry);
            continue;
        };
        if entry.value.tag == Tag::Reset {
            gone.insert(place);
            continue;
        }
        path.push(entry.key.clone());
        let nothing = entry.value.here(Node::List(Vec::new()));
        let old = std::mem::replace(&mut below[place].value, nothing);
        let before = old.span.clone();
        below[place].value = merge(old, entry.value, path, problems);
        if below[place].value.span != before {
            below[place].at = entry.at;
        }
        path.pop();
    }
    let mut place = 0;
    below.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
    below
}

fn unique(items: Vec<Item>, rule: &Rule, problems: &Problems) -> Vec<Item> {
    let (identity, deep) = match rule {
        Rule::Unique(identity) => (identity, false),
        Rule::UniqueDeep(identity) => (identity, true),
        _ => return items,
    };
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Item> = Vec::with_capacity(items.len());
    for item in items {
        let Some(name) = identity(&item) else {
            kept.push(item);
            continue;
        };
        match places.get(&name) {
            Some(place) if deep => {
                let below = kept[*place].clone();
                kept[*place] = merge(below, item, &mut Vec::new(), problems);
            }
            Some(place) => {
                let below = std::mem::replace(&mut kept[*place], item.here(Node::List(Vec::new())));
                kept[*place] = overriding(below, item);
            }
            None => {
                places.insert(name, kept.len());
                kept.push(item);
            }
        }
    }
    kept
}

/// The end of merging: what `!reset` names is taken out, and lists have no item twice.
pub(crate) fn settle(item: &mut Item, path: &mut Vec<String>, problems: &Problems) {
    match &mut item.node {
        Node::Scalar(_) => {}
        Node::List(items) => {
            items.retain(|item| item.tag != Tag::Reset);
            let segments: Vec<&str> = path.iter().map(String::as_str).collect();
            *items = unique(std::mem::take(items), &rule(&segments), problems);
        }
        Node::Map(entries) => {
            entries.retain(|entry| entry.value.tag != Tag::Reset);
            for entry in entries {
                path.push(entry.key.clone());
                settle(&mut entry.value, path, problems);
                path.pop();
            }
        }
    }
}
