//! Records that were read before: who asks again and again is told from memory what has not changed.
//!
//! # Invariants
//! - What is remembered of a file is used only while the file system says that it is the same file with the
//!   same content: every record is written anew and renamed into place, or changed in place, and either shows
//!   in a [`Stamp`].
//! - A file that was changed a moment ago is read again: two changes within one tick of the file system's
//!   clock look alike.

use crate::stamp::Stamp;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records by a key, each with the stamps of the files that it was read from.
#[derive(Debug)]
pub struct Remembered<K, T> {
    known: Mutex<Values<K, T>>,
}

/// `None` where there is no file.
type Values<K, T> = HashMap<K, (Vec<Option<Stamp>>, Arc<T>)>;

impl<K, T> Default for Remembered<K, T> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, T> Remembered<K, T> {
    /// What these files hold: as remembered, or as it is read now.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn get<P: AsRef<Path>, E>(
        &self,
        key: &K,
        files: &[P],
        read: impl FnOnce() -> Result<Option<T>, E>,
    ) -> Result<Option<Arc<T>>, E> {
        // Before the content: what changes in between is found to be changed by the next look.
        let stamps: Vec<_> = files.iter().map(|file| Stamp::of(file.as_ref())).collect();
        if let Some((as_before, record)) = self.known().get(key)
            && *as_before == stamps
        {
            return Ok(Some(Arc::clone(record)));
        }
        let record = read()?.map(Arc::new);
        match &record {
            Some(record) if !stamps.iter().flatten().any(Stamp::is_recent) => {
                self.known().insert(key.clone(), (stamps, Arc::clone(record)));
            }
            _ => drop(self.known().remove(key)),
        }
        Ok(record)
    }

    /// Forgets all but these.
    pub fn keep(&self, keys: &HashSet<K>) {
        self.known().retain(|key, _| keys.contains(key));
    }

    fn known(&self) -> MutexGuard<'_, Values<K, T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs;
    use std::time::Duration;

    /// Waits until a file is old enough to be remembered.
    fn settle(file: &Path) {
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while Stamp::of(file).expect("it is there").is_recent() {
            assert!(std::time::Instant::now() < end);
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_file_is_read_once_until_it_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, other) = (folder.path().join("record"), folder.path().join("following"));
        let (remembered, reads) = (Remembered::<u8, String>::default(), Cell::new(0));
        let look = || {
            let read = || {
                reads.set(reads.get() + 1);
                Ok::<_, ()>(fs::read_to_string(&file).ok())
            };
            remembered
                .get(&1, &[&file, &other], read)
                .expect("it works")
                .map(|text| (*text).clone())
        };
        assert_eq!((look(), reads.get()), (None, 1));
        fs::write(&file, "a").expect("it works");
        settle(&file);
        assert_eq!((look(), look()), (Some("a".into()), Some("a".into())));
        assert_eq!(reads.get(), 2, "the second time it is remembered");

        // As records are written: the same size, at once.
        let replace = |text: &str| {
            fs::write(folder.path().join("new"), text).expect("it works");
            fs::rename(folder.path().join("new"), &file).expect("it works");
        };
        for text in ["b", "c", "d"] {
            replace(text);
            assert_eq!(look().as_deref(), Some(text));
        }
        fs::write(&file, "e").expect("it works");
        assert_eq!(look().as_deref(), Some("e"), "in place");
        settle(&file);
        let before = (look(), reads.get());
        fs::write(&other, "").expect("it works");
        assert_eq!((look(), reads.get()), (before.0, before.1 + 1), "a file more");
        fs::remove_file(&file).expect("it works");
        assert_eq!(look(), None);
        remembered.keep(&HashSet::new());
        assert!(remembered.known().is_empty());
    }
}
