//! A store in memory, that outlives its controllers; each life writes through its own end of it.

use super::doom::Doom;
use crate::store::{Entry, Keep, RecordHint, Result, Store, StoreError};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What is on the disk.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Pages>>);

/// All of it at one moment: a backup.
#[derive(Clone, Default)]
pub(super) struct Pages {
    entries: BTreeMap<String, Entry>,
    revision: u64,
}

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap()
    }

    pub fn backup(&self) -> Pages {
        self.pages().clone()
    }

    /// Its records, as a controller of this epoch starts with them.
    pub fn restore(&self, mut backup: Pages, epoch: u64) {
        for (key, entry) in &mut backup.entries {
            if let Some(value) = crate::restored::restored(key, &entry.value, epoch) {
                entry.value = value;
            }
        }
        *self.pages() = backup;
    }
}

/// One controller's way to it.
pub(super) struct Pen {
    pub ledger: Ledger,
    pub doom: Doom,
}

#[async_trait]
impl Store for Pen {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.ledger.pages().entries.get(key).cloned())
    }

    async fn revision(&self, key: &str) -> Result<u64> {
        Ok(self.ledger.pages().entries.get(key).map_or(0, |entry| entry.revision))
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let entries = self.range(prefix).await?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    async fn range(&self, prefix: &str) -> Result<Vec<Entry>> {
        let pages = self.ledger.pages();
        let from = pages.entries.range(prefix.to_owned()..);
        let those = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(those.map(|(_, entry)| entry.clone()).collect())
    }

    async fn watch(&self, _: &str) -> Result<BoxStream<'static, RecordHint>> {
        Ok(stream::pending().boxed())
    }

    async fn put(&self, key: &str, value: Vec<u8>, expected: u64, _: Keep) -> Result<u64> {
        self.doom.edge().await;
        let revision = {
            let mut pages = self.ledger.pages();
            let found = pages.entries.get(key).map_or(0, |entry| entry.revision);
            if found != expected {
                return Err(StoreError::Moved { key: key.to_owned(), expected, found });
            }
            pages.revision += 1;
            let revision = pages.revision;
            let entry = Entry { key: key.to_owned(), value, revision };
            pages.entries.insert(key.to_owned(), entry);
            revision
        };
        self.doom.edge().await;
        Ok(revision)
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.doom.edge().await;
        Ok(self.ledger.pages().entries.remove(key).is_some())
    }

    async fn is_late(&self, _: &str) -> bool {
        false
    }

    async fn settle(&self) {}
}
