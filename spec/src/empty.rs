//! Optional values that are an empty text are not set: that is what `${PLATFORM:-}` leaves, and
//! docker compose takes them so.

use crate::item::{Item, Node};
use crate::keys::{Place, Shape};

/// Keys for which an empty text is a mistake, there as here.
const NEEDED: [&str; 3] = ["image", "pull_policy", "order"];

/// Takes such values out of a merged tree.
pub(crate) fn drop_empty(model: &mut Item) {
    for section in ["services", "networks", "volumes"] {
        let place = Place::root().key(section);
        let (Some(place), Some(items)) = (place, model.get_mut(section)) else { continue };
        for entry in items.entries_mut().into_iter().flatten() {
            if let Some(place) = place.key(&entry.key) {
                drop_below(&mut entry.value, place);
            }
        }
    }
}

fn drop_below(item: &mut Item, place: &Place) {
    let Node::Map(entries) = &mut item.node else { return };
    entries.retain(|entry| {
        let is_empty = entry.value.text() == Some("");
        !(is_empty && place.key(&entry.key).is_some_and(|place| is_optional(&entry.key, place)))
    });
    for entry in entries {
        let below = ["deploy", "logging", "update_config", "rollback_config", "restart_policy"];
        let below = below.contains(&entry.key.as_str());
        let resources = ["resources", "limits", "reservations"].contains(&entry.key.as_str());
        if let Some(place) = place.key(&entry.key).filter(|_| below || resources) {
            drop_below(&mut entry.value, place);
        }
    }
}

/// Whether docker compose takes an empty text for no value: it does of texts, not of sizes, times,
/// numbers and flags.
fn is_optional(key: &str, place: &Place) -> bool {
    !NEEDED.contains(&key) && place.row.is_some_and(|row| row.shape == Shape::Text)
}
