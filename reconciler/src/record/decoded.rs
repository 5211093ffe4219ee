//! Records as values, so that each is decoded once: every pass asks for those of its stack.
//!
//! # Invariants
//! - A value is used only while the store has its key at the very revision that it was decoded from.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Values = HashMap<String, (u64, Arc<dyn Any + Send + Sync>)>;

/// By key, with the revision.
#[derive(Clone, Default)]
pub(super) struct Decoded(Arc<Mutex<Values>>);

impl Decoded {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key's value, as it was at this revision.
    pub(super) fn get<T: Send + Sync + 'static>(&self, key: &str, revision: u64) -> Option<Arc<T>> {
        let value = match self.values().get(key) {
            Some((at, value)) if *at == revision => Arc::clone(value),
            _ => return None,
        };
        value.downcast::<T>().ok()
    }

    /// Remembers a key's value.
    pub(super) fn put<T: Send + Sync + 'static>(&self, key: &str, revision: u64, value: Arc<T>) {
        self.values().insert(key.to_owned(), (revision, value));
    }

    /// The key is not there any more.
    pub(super) fn forget(&self, key: &str) {
        self.values().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_that_of_its_revision() {
        let decoded = Decoded::default();
        decoded.put("a", 1, Arc::new("one".to_owned()));
        assert_eq!(decoded.get::<String>("a", 1).unwrap().as_str(), "one");
        assert_eq!(decoded.get::<String>("a", 2), None);
        assert_eq!(decoded.get::<u8>("a", 1), None, "another kind of value");
        decoded.forget("a");
        assert_eq!(decoded.get::<String>("a", 1), None);
    }
}
