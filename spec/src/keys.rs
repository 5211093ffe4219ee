//! Every key of the Compose specification, once, with the shape of its values and its standing
//! here.
//!
//! A path is made of keys; `*` is a name that the user chose, `[]` an item of a list. A key
//! whose row has no rows below it takes what its shape allows; one that has rows takes only those
//! (and `x-`). A new key is a row here and its decoding in `service/`.

mod keel;
mod of_services;
mod row;
mod top;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use Support::Refused;
pub use keel::{Home, KEEL, KeelKey};
pub use row::{KeyRow, Shape, Support};

/// A row in its place.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The path that its table starts from: empty, or `services.*`.
    pub home: &'static str,
    /// The row.
    pub row: &'static KeyRow,
}

impl Key {
    /// The whole path, such as `services.*.deploy.replicas`.
    pub fn path(&self) -> String {
        if self.home.is_empty() {
            return self.row.path.to_owned();
        }
        format!("{}.{}", self.home, self.row.path)
    }
}

/// All keys.
pub fn keys() -> impl Iterator<Item = Key> {
    let tables = [
        ("", top::ROWS),
        ("services.*", of_services::ROWS),
        ("", keel::STACK),
        ("services.*", keel::SERVICE),
        ("services.*.volumes[]", keel::MOUNT),
    ];
    tables.into_iter().flat_map(|(home, rows)| rows.iter().map(move |row| Key { home, row }))
}

/// Whether Compose has a key of this name anywhere.
pub(crate) fn is_word(word: &str) -> bool {
    static WORDS: LazyLock<BTreeSet<&str>> =
        LazyLock::new(|| keys().flat_map(|key| key.row.path.split('.')).flat_map(steps).collect());
    WORDS.contains(word)
}

/// The table as a tree: what may stand below a key.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) row: Option<&'static KeyRow>,
    below: BTreeMap<&'static str, Place>,
}

impl Place {
    /// The whole file.
    pub(crate) fn root() -> &'static Self {
        static ROOT: LazyLock<Place> = LazyLock::new(Place::grow);
        &ROOT
    }

    fn grow() -> Self {
        let mut root = Self::default();
        for Key { home, row } in keys() {
            let mut place = &mut root;
            for step in home.split('.').chain(row.path.split('.')).flat_map(steps) {
                place = place.below.entry(step).or_default();
            }
            place.row = Some(row);
        }
        root
    }

    /// Whether it takes only the keys that it has rows for.
    pub(crate) fn is_closed(&self) -> bool {
        self.below.keys().any(|key| *key != "*" && *key != "[]")
    }

    /// What a key is here: by name, or as a name that the user chose.
    pub(crate) fn key(&self, key: &str) -> Option<&Self> {
        self.below.get(key).or_else(|| self.below.get("*"))
    }

    /// The same, with the table's own word for it.
    pub(crate) fn step(&self, key: &str) -> Option<(&'static str, &Self)> {
        let found = self.below.get_key_value(key).or_else(|| self.below.get_key_value("*"))?;
        Some((found.0, found.1))
    }

    /// Whether two keys are known in one mapping, here or anywhere below.
    pub(crate) fn has_beside(&self, one: &str, other: &str) -> bool {
        let here = self.below.contains_key(one) && self.below.contains_key(other);
        here || self.below.values().any(|place| place.has_beside(one, other))
    }

    /// What the items of a list are here.
    pub(crate) fn item(&self) -> Option<&Self> {
        self.below.get("[]")
    }

    /// The known key that is most like `key`, if any is like it at all.
    pub(crate) fn nearest(&self, key: &str) -> Option<&'static str> {
        let known = self.below.iter().filter(|(key, place)| {
            !matches!(**key, "*" | "[]")
                && !matches!(place.row, Some(KeyRow { standing: Refused(_), .. }))
        });
        crate::nearest::of(key, known.map(|(key, _)| *key))
    }
}

/// `ports[]` is two steps.
fn steps(part: &'static str) -> impl Iterator<Item = &'static str> {
    let (key, list) = match part.strip_suffix("[]") {
        Some(key) => (key, Some("[]")),
        None => (part, None),
    };
    [Some(key).filter(|key| !key.is_empty()), list].into_iter().flatten()
}
