//! What the key table says about a merged tree: keys that nobody knows, that are held, limited,
//! refused, or accepted with a word.

use crate::advice;
use crate::code::Code;
use crate::decode::{Field, shorten};
use crate::item::{Entry, Node};
use crate::keys::Support::{Held, Honored, Inside, Limited, Notice, Refused};
use crate::keys::{Place, Shape};
use crate::problem::Problem;
use crate::shape;

/// Judges all keys in `field`, whose place in the table is `place`.
pub(crate) fn judge(field: &Field<'_>, place: &Place) {
    let walk = Walk { quiet: false };
    walk.below(field, place);
}

/// Judges the keys of `field` itself, and none below them.
pub(crate) fn judge_keys(field: &Field<'_>, place: &Place) {
    for entry in field.item.entries() {
        key(field, entry, place, false);
    }
}

struct Walk {
    /// A key above has said already that all this is not run.
    quiet: bool,
}

impl Walk {
    fn below(&self, field: &Field<'_>, place: &Place) {
        match &field.item.node {
            Node::Scalar(_) => {}
            Node::List(_) => {
                let Some(place) = place.item() else { return };
                field.list().iter().for_each(|item| self.below(item, place));
            }
            Node::Map(entries) => {
                for entry in entries {
                    let Some((place, quiet)) = key(field, entry, place, self.quiet) else {
                        continue;
                    };
                    Self { quiet }.below(&field.child(entry), place);
                }
            }
        }
    }
}

/// Judges one key; returns its place, and whether what is below it has been spoken for.
fn key<'p>(
    field: &Field<'_>,
    entry: &Entry,
    place: &'p Place,
    quiet: bool,
) -> Option<(&'p Place, bool)> {
    let Some(found) = place.key(&entry.key) else {
        if place.is_closed() {
            unknown(field, entry, place);
        }
        return None;
    };
    let has_image = field.item.entry("image").is_some();
    let field = field.child(entry);
    let (at, scope) = (entry.at.clone(), field.scope);
    let Some(row) = found.row else { return Some((found, quiet)) };
    if quiet || matches!(row.standing, Held(_) | Limited(_) | Notice(_)) {
        shape::check(&field, row.shape);
    }
    match row.standing {
        Refused(why) => {
            let message = format!("{} {why}", field.name());
            scope.add(Problem::new(Code::NotObeyed, message).at(at));
            return Some((found, quiet));
        }
        Honored | Inside => return Some((found, quiet)),
        _ if quiet => return Some((found, quiet)),
        Held(why) => scope.hold(&field.path, &at, why),
        // Without an image it is held, which says more.
        Limited(_) if entry.key == "build" && !has_image => {}
        Limited(what) => {
            let message = format!("{} is limited: {what}", field.name());
            scope.add(Problem::new(Code::Limited, message).at(at));
        }
        Notice(what) => {
            let message = format!("{} has no effect: {what}", field.name());
            scope.add(Problem::new(Code::NoEffect, message).at(at));
        }
    }
    Some((found, true))
}

fn unknown(field: &Field<'_>, entry: &Entry, place: &Place) {
    let key = &entry.key;
    if key == "x-keel" {
        let problem =
            Problem::new(Code::NotObeyed, format!("`x-keel` is not read in {}", field.name()));
        let hint = "it belongs into the stack, a service, or a mount";
        field.scope.add(problem.at(entry.at.clone()).hint(hint));
        return;
    }
    if key.starts_with("x-") {
        return;
    }
    let message = format!("unknown key `{}` in {}", shorten(key), field.name());
    let mut problem = Problem::new(Code::UnknownKey, message).at(entry.at.clone());
    let full = field.scope.is_full();
    if let Some(hint) = if full { None } else { self::hint(field, entry, place) } {
        problem = problem.hint(hint);
    }
    field.scope.add(problem);
}

fn hint(field: &Field<'_>, entry: &Entry, place: &Place) -> Option<String> {
    let key = entry.key.as_str();
    if let Some(hint) = advice::split_text(field.item) {
        return Some(hint);
    }
    let top = ["services", "networks", "volumes", "configs", "secrets", "version"];
    if top.contains(&key) && (!field.path.is_empty() || place.key("image").is_some()) {
        return Some(format!("`{key}` belongs to the top level: check the indentation"));
    }
    let is_service = place.key("image").is_some() && place.key("ports").is_some();
    let old = OLD.iter().find(|(old, _)| *old == key).map(|(_, now)| (*now).to_owned());
    if is_service && old.is_some() {
        return old;
    }
    if let Some(near) = place.nearest(key) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some(above) = empty_above(field, entry, place) {
        return Some(format!("indent `{key}` below `{above}`, which is empty"));
    }
    if field.path.is_empty() && place.key("services").is_some() {
        let looks = entry.value.get("image").or_else(|| entry.value.get("build")).is_some();
        let service =
            looks.then(|| format!("a service belongs under `services:`; indent `{key}` below it"));
        return service.or_else(|| Some("a key of your own must begin with `x-`".to_owned()));
    }
    if old.is_some() {
        return old;
    }
    let inside = ["deploy", "healthcheck", "build", "logging"];
    let home = inside
        .into_iter()
        .find(|home| place.key(home).is_some_and(|place| place.key(key).is_some()));
    home.map(|home| format!("`{key}` belongs under `{home}`"))
}

/// The key above that is to have keys below it, and has none: what follows has slipped out of it.
fn empty_above<'a>(field: &Field<'a>, entry: &Entry, place: &Place) -> Option<&'a str> {
    let entries = field.item.entries();
    let index = entries.iter().position(|other| other.key == entry.key)?;
    let above = entries[..index].iter().rev().find(|above| place.key(&above.key).is_some())?;
    let shape = place.key(&above.key)?.row?.shape;
    let takes = matches!(shape, Shape::Pairs | Shape::Map | Shape::Names | Shape::Scalars);
    (above.value.is_null() && takes).then_some(above.key.as_str())
}

/// Keys of files from before Compose's specification, and misplaced ones that are often seen.
const OLD: &[(&str, &str)] = &[
    ("net", "write `network_mode`"),
    ("dockerfile", "`dockerfile` belongs under `build`"),
    ("log_driver", "`logging` has taken its place"),
    ("log_opt", "`logging` has taken its place"),
    ("volume_driver", "give the `driver` of a volume under the top-level `volumes`"),
    ("external", "`external` belongs to a network or volume at the top level"),
    ("replicas", "`replicas` belongs under `deploy`"),
    ("limits", "`limits` belongs under `deploy.resources`"),
];
