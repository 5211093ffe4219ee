//! Ports in their long form.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::tree;
use super::super::value::{self, Node, Value};
use crate::item::Item;
use crate::keys::Place;
use crate::service::Published;
use crate::service::ports::{self, Port};
use crate::span::Span;

/// Each port once, ranges written out as far as they pair.
pub(super) fn list(item: &Item) -> Value {
    let mut ports: Vec<Value> = Vec::new();
    let mut seen = HashSet::new();
    for item in item.items() {
        let port: Vec<Value> = match item.text() {
            Some(text) => {
                let at = Arc::new(item.span.clone());
                let ports = ports::short(text).unwrap_or_default();
                ports.iter().map(|port| long(port, &at)).collect()
            }
            None => vec![written(item)],
        };
        ports.extend(port.into_iter().filter(|port| seen.insert(identity(port))));
    }
    value::list(ports, Some(&item.span))
}

/// What makes a port another one: all that it says.
fn identity(port: &Value) -> String {
    let part = |entry: &value::Entry| match &entry.value.node {
        Node::Text(text) | Node::Number(text) => format!("{}{text} ", &entry.key[..1]),
        _ => String::new(),
    };
    port.entries().iter().map(part).collect()
}

/// Sorted by key, like every mapping.
fn long(port: &Port, at: &Arc<Span>) -> Value {
    let value = |node| Value { node, at: Some(at.clone()) };
    let text = |text: String| value(Node::Text(text));
    let published = match port.published {
        Published::Any => None,
        Published::Port(port) => Some(port.to_string()),
        Published::Range(first, last) => Some(format!("{first}-{last}")),
    };
    let entries = [
        port.host_ip.map(|ip| value::entry("host_ip", text(ip.to_string()))),
        Some(value::entry("mode", text("ingress".into()))),
        Some(value::entry("protocol", text(port.protocol.to_string()))),
        published.map(|published| value::entry("published", text(published))),
        Some(value::entry("target", value(Node::Number(port.target.to_string())))),
    ];
    value(Node::Map(entries.into_iter().flatten().collect()))
}

/// A long form, with what it leaves out.
fn written(item: &Item) -> Value {
    let place =
        Place::root().key("services").and_then(|place| place.key("*")?.key("ports")?.item());
    let at = Some(&item.span);
    let mut entries = Vec::new();
    for entry in item.entries().iter().filter(|entry| !entry.value.is_null()) {
        let text = entry.value.text().unwrap_or_default();
        let at = Some(&entry.value.span);
        let value = match entry.key.as_str() {
            "published" if text == "0" => continue,
            "published" => value::text(text, at),
            "protocol" => value::text(&text.to_ascii_lowercase(), at),
            key => tree::value(&entry.value, place.and_then(|place| place.key(key))),
        };
        entries.push(value::entry(&entry.key, value));
    }
    for (key, text) in [("mode", "ingress"), ("protocol", "tcp")] {
        if item.get(key).is_none_or(Item::is_null) {
            entries.push(value::entry(key, value::text(text, at)));
        }
    }
    value::map(entries, at)
}
