//! The images that are here and those on their way, for whoever looks. What the store holds is read again only
//! when it was told that it changed.

use super::known::{PullState, named};
use keel_engine::{EngineError, ObservedImage, Result};
use keel_images::{Reference, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the store has, each by its full name.
pub(super) type Stored = Arc<Vec<(Reference, ObservedImage)>>;

/// What was read of the store.
#[derive(Default)]
pub(super) struct Listed {
    stored: Mutex<Option<Stored>>,
    changed: AtomicBool,
}

impl Listed {
    /// A look has something new to see.
    pub(super) fn change(&self) {
        self.changed.store(true, Ordering::Release);
    }

    /// Whether there may be something new since this was asked last.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// The next look reads the store.
    pub(super) fn forget_stored(&self) {
        *self.stored.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.change();
    }

    /// What the store has: read once, until it is told that this changed.
    pub(super) fn stored(&self, store: &Store) -> Result<Stored> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stored) = &*stored {
            return Ok(Arc::clone(stored));
        }
        Ok(Arc::clone(stored.insert(Arc::new(read(store)?))))
    }
}

/// What is here and what is on its way. `written` are names as tasks write them: an image is
/// reported under the names by which it is asked for.
pub(super) fn observed(
    stored: &Stored,
    known: &BTreeMap<String, PullState>,
    written: BTreeSet<String>,
) -> Vec<ObservedImage> {
    let names = known.keys().cloned().chain(written).collect();
    let mut images = as_written(stored, &names);
    for (name, known) in known {
        let wanted = known.going.is_some() || known.pulls > 0 || known.failure.is_some();
        if wanted || images.contains_key(name) {
            note(known, images.entry(name.clone()).or_insert_with(|| unknown(name)));
        }
    }
    images.into_values().collect()
}

fn read(store: &Store) -> Result<Vec<(Reference, ObservedImage)>> {
    let failed = |error| EngineError::failed("cannot list the images", error);
    let mut read = Vec::new();
    for summary in store.list().map_err(failed)? {
        let image = store.resolve_local(&summary.reference).map_err(failed)?;
        let config = image.map(|image| image.config).unwrap_or_default();
        let image = ObservedImage {
            digest: Some(summary.digest),
            id: Some(summary.id),
            size: summary.size,
            created: summary.created.and_then(|at| u64::try_from(at.as_millisecond()).ok()),
            has_healthcheck: config.healthcheck.is_some(),
            volumes: config.volumes.into_iter().collect(),
            entrypoint: config.entrypoint,
            command: config.cmd,
            ..unknown(&summary.reference.to_string())
        };
        read.push((summary.reference, image));
    }
    Ok(read)
}

/// Each under the names by which it is asked for; under its own where nobody asks.
fn as_written(
    stored: &[(Reference, ObservedImage)],
    names: &BTreeSet<String>,
) -> BTreeMap<String, ObservedImage> {
    let mut asked: BTreeMap<Reference, Vec<&String>> = BTreeMap::new();
    for name in names {
        if let Ok(parsed) = named(name) {
            asked.entry(parsed).or_default().push(name);
        }
    }
    let mut images = BTreeMap::new();
    for (reference, image) in stored {
        let Some(names) = asked.get(reference) else {
            images.insert(image.reference.clone(), image.clone());
            continue;
        };
        for name in names {
            let image = ObservedImage { reference: (*name).clone(), ..image.clone() };
            images.insert((*name).clone(), image);
        }
    }
    images
}

fn note(known: &PullState, image: &mut ObservedImage) {
    image.pulls = known.pulls;
    image.pulling = known.going.as_ref().map(|_| known.bytes());
    if known.going.is_none() {
        image.failure.clone_from(&known.failure);
    }
}

fn unknown(reference: &str) -> ObservedImage {
    ObservedImage { reference: reference.to_owned(), ..ObservedImage::default() }
}
