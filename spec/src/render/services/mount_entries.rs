//! Mounts in their long form.

use super::super::tree;
use super::super::value::{self, Value};
use crate::item::{self, Item};
use crate::keys::Place;
use crate::service::mounts;
use crate::span::Span;

pub(super) fn list(item: &Item, place: Option<&Place>) -> Value {
    let place = place.and_then(Place::item);
    let one = |item: &Item| match item.text() {
        Some(text) => short(item, text),
        None => long(item, place),
    };
    value::list(item.items().iter().map(one).collect(), Some(&item.span))
}

fn short(item: &Item, text: &str) -> Value {
    let at = Some(&item.span);
    let parts = mounts::split(text);
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options, ..] => (Some(source), target, options),
        [] => (None, text, ""),
    };
    let options: Vec<&str> = options.split(',').collect();
    let kind = if source.is_some_and(mounts::is_path) { "bind" } else { "volume" };
    let mut entries = vec![
        value::entry("type", value::text(kind, at)),
        value::entry("target", value::text(&mounts::clean(target), at)),
    ];
    if let Some(source) = source {
        let source = if kind == "bind" { host(source, item, at) } else { value::text(source, at) };
        entries.push(value::entry("source", source));
    }
    if options.contains(&"ro") {
        entries.push(value::entry("read_only", value::boolean(true, at)));
    }
    let more = if kind == "bind" { bind(&options, at) } else { volume(&options, at) };
    if !more.is_empty() {
        entries.push(value::entry(kind, value::map(more, at)));
    }
    value::map(entries, at)
}

fn bind(options: &[&str], at: Option<&Span>) -> Vec<value::Entry> {
    let mut entries = vec![value::entry("create_host_path", value::boolean(true, at))];
    if let Some(word) = options.iter().find(|word| mounts::propagation(word).is_some()) {
        entries.push(value::entry("propagation", value::text(word, at)));
    }
    if let Some(word) = options.iter().find(|word| matches!(**word, "z" | "Z")) {
        entries.push(value::entry("selinux", value::text(word, at)));
    }
    entries
}

fn volume(options: &[&str], at: Option<&Span>) -> Vec<value::Entry> {
    let nocopy = options.contains(&"nocopy");
    nocopy.then(|| value::entry("nocopy", value::boolean(true, at))).into_iter().collect()
}

fn host(written: &str, item: &Item, at: Option<&Span>) -> Value {
    if mounts::is_foreign(written) {
        return value::text(written, at);
    }
    tree::host_path(written, item, at)
}

fn long(item: &Item, place: Option<&Place>) -> Value {
    let bind = item.get("type").and_then(Item::text) == Some("bind");
    let one = |entry: &item::Entry| {
        let written = &entry.value;
        let text = written.text().unwrap_or_default();
        let at = Some(&written.span);
        let value = match entry.key.as_str() {
            "source" if bind => host(text, written, at),
            "target" => value::text(&mounts::clean(text), at),
            key => tree::value(written, place.and_then(|place| place.key(key))),
        };
        value::entry(&entry.key, value)
    };
    let entries = item.entries().iter().filter(|entry| !entry.value.is_null());
    value::map(entries.map(one).collect(), Some(&item.span))
}
