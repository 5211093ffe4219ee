//! Ports in their long form.

use std::collections::HashSet;

use super::super::json;
use super::super::tree;
use super::super::value::{self, Value};
use crate::item::Item;
use crate::keys::Place;
use crate::service::Published;
use crate::service::ports::{self, Port};

/// Each port once, ranges written out as far as they pair.
pub(super) fn list(item: &Item) -> Value {
    let mut ports: Vec<Value> = Vec::new();
    let mut seen = HashSet::new();
    for item in item.items() {
        let port: Vec<Value> = match item.text() {
            Some(text) => {
                ports::short(text).unwrap_or_default().iter().map(|port| long(port, item)).collect()
            }
            None => vec![written(item)],
        };
        ports.extend(port.into_iter().filter(|port| seen.insert(json::value(port).to_string())));
    }
    value::list(ports, Some(&item.span))
}

fn long(port: &Port, item: &Item) -> Value {
    let at = Some(&item.span);
    let mut entries = vec![
        value::entry("mode", value::text("ingress", at)),
        value::entry("protocol", value::text(&port.protocol.to_string(), at)),
        value::entry("target", value::number(port.target, at)),
    ];
    let published = match port.published {
        Published::Any => None,
        Published::Port(port) => Some(port.to_string()),
        Published::Range(first, last) => Some(format!("{first}-{last}")),
    };
    if let Some(published) = published {
        entries.push(value::entry("published", value::text(&published, at)));
    }
    if let Some(ip) = port.host_ip {
        entries.push(value::entry("host_ip", value::text(&ip.to_string(), at)));
    }
    value::map(entries, at)
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
