//! From the merged tree to values: each scalar in the one form that its key's shape has.

use std::time::Duration;

use super::value::{self, Entry, Value};
use crate::item::{self, Item, Scalar, Type};
use crate::keys::{Place, Shape};
use crate::scalar;
use crate::span::Span;
use crate::stack::HostPath;
use crate::words;

/// A key with its value, as the table says; without a place as YAML says.
pub(super) fn entry(entry: &item::Entry, place: Option<&Place>) -> Entry {
    Entry { key: entry.key.clone(), value: value(&entry.value, place) }
}

/// A value below `place`.
pub(super) fn value(item: &Item, place: Option<&Place>) -> Value {
    let at = Some(&item.span);
    let shape = place.and_then(|place| place.row).map(|row| row.shape);
    match &item.node {
        item::Node::Scalar(_) if item.is_null() => value::null(at),
        item::Node::Scalar(scalar) => self::scalar(scalar, shape, at),
        item::Node::List(items) => {
            let below = place.and_then(Place::item);
            let texts = matches!(shape, Some(Shape::Pairs | Shape::Loose));
            let one = |item: &Item| match item.text() {
                Some(text) if texts => value::text(text, Some(&item.span)),
                _ => value(item, below),
            };
            value::list(items.iter().map(one).collect(), at)
        }
        item::Node::Map(entries) => map(entries, place, shape, at),
    }
}

fn map(
    entries: &[item::Entry],
    place: Option<&Place>,
    shape: Option<Shape>,
    at: Option<&Span>,
) -> Value {
    let texts = matches!(shape, Some(Shape::Pairs | Shape::Scalars));
    // In a mapping with keys of its own, nothing is what leaving the key out is.
    let closed = place.is_some_and(Place::is_closed);
    let kept = entries.iter().filter(|entry| !(closed && entry.value.is_null()));
    let one = |entry: &item::Entry| match entry.value.text() {
        Some(text) if texts => value::entry(&entry.key, value::text(text, Some(&entry.value.span))),
        _ => self::entry(entry, place.and_then(|place| place.key(&entry.key))),
    };
    value::map(kept.map(one).collect(), at)
}

fn scalar(scalar: &Scalar, shape: Option<Shape>, at: Option<&Span>) -> Value {
    let text = scalar.text.as_str();
    let plain = || value::text(text, at);
    match shape {
        Some(Shape::Bool | Shape::FlagOrMap) => {
            flag(text).map_or_else(plain, |flag| value::boolean(flag, at))
        }
        Some(Shape::Whole) => {
            text.parse::<i64>().map_or_else(|_| plain(), |whole| value::number(whole, at))
        }
        Some(Shape::Number) => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map_or_else(plain, |number| value::number(number, at)),
        Some(Shape::Bytes) => {
            scalar::bytes(text).map_or_else(plain, |bytes| value::text(&bytes.to_string(), at))
        }
        Some(Shape::Duration) => {
            scalar::duration(text).map_or_else(plain, |length| value::text(&duration(length), at))
        }
        Some(Shape::Mode) => scalar::mode(text, scalar.plain)
            .map_or_else(plain, |mode| value::text(&format!("{mode:04o}"), at)),
        Some(Shape::Command) => match words::split(text) {
            Ok(split) => {
                value::list(split.words.iter().map(|word| value::text(word, at)).collect(), at)
            }
            Err(_) => plain(),
        },
        Some(Shape::TextOrTexts) => value::list(vec![plain()], at),
        Some(Shape::Scalar) | None => typed(scalar, at),
        Some(_) => plain(),
    }
}

/// What YAML's core schema says it is.
fn typed(scalar: &Scalar, at: Option<&Span>) -> Value {
    match scalar.ty() {
        Type::Null => value::null(at),
        Type::Bool => value::boolean(scalar.text.eq_ignore_ascii_case("true"), at),
        Type::Int | Type::Float => value::number(&scalar.text, at),
        Type::Text => value::text(&scalar.text, at),
    }
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// As Go writes it: `1m30s`, `250ms`.
pub(super) fn duration(length: Duration) -> String {
    let nanos = length.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if seconds == 0 {
        let (unit, size) = match rest {
            1_000_000.. => ("ms", 1_000_000),
            1_000.. => ("µs", 1_000),
            _ => ("ns", 1),
        };
        return format!("{}{unit}", with_fraction(rest / size, rest % size, size));
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut out = String::new();
    if hours > 0 {
        out += &format!("{hours}h");
    }
    if hours > 0 || minutes > 0 {
        out += &format!("{minutes}m");
    }
    out + &format!("{}s", with_fraction(seconds % 60, rest, 1_000_000_000))
}

fn with_fraction(whole: u128, rest: u128, size: u128) -> String {
    if rest == 0 {
        return whole.to_string();
    }
    let width = size.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

/// A path of the host, whole as far as its folder is.
pub(super) fn path(item: &Item) -> Value {
    let written = item.text().unwrap_or_default();
    let at = Some(&item.span);
    if written.contains("://") || written.is_empty() {
        return value::text(written, at);
    }
    host_path(written, item, at)
}

/// The same for a part of an item's text.
pub(super) fn host_path(written: &str, item: &Item, at: Option<&Span>) -> Value {
    let path = HostPath { written: written.to_owned(), base: item.base.to_path_buf() };
    match path.home() {
        Some(_) => value::text(written, at),
        None => value::text(&path.path().to_string_lossy(), at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        let cases = [
            (0, "0s"),
            (90_000_000_000, "1m30s"),
            (5_400_000_000_000, "1h30m0s"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (1_500, "1.5µs"),
            (7, "7ns"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }
}
