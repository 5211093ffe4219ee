//! Configs, secrets and devices in their long forms.

use super::super::tree;
use super::super::value::{self, Value};
use crate::item::Item;
use crate::keys::Place;
use crate::service::security::short_device;

pub(super) fn list(item: &Item, place: Option<&Place>) -> Value {
    let place = place.and_then(Place::item);
    let one = |item: &Item| match item.text() {
        Some(source) => {
            let source = value::entry("source", value::text(source, Some(&item.span)));
            value::map(vec![source], Some(&item.span))
        }
        None => tree::value(item, place),
    };
    value::list(item.items().iter().map(one).collect(), Some(&item.span))
}

pub(super) fn devices(item: &Item) -> Value {
    let one = |item: &Item| {
        let at = Some(&item.span);
        let Some(device) = item.text().and_then(short_device) else {
            return tree::value(item, None);
        };
        let entry = |key, text: &str| value::entry(key, value::text(text, at));
        let entries = vec![
            entry("source", &device.source),
            entry("target", &device.target),
            entry("permissions", &device.permissions),
        ];
        value::map(entries, at)
    };
    value::list(item.items().iter().map(one).collect(), Some(&item.span))
}
