//! The pool's records among those of its controller.

use crate::failure::{Failure, Result, chain};
use async_trait::async_trait;
use keel_pool::epoch::Epoch;
use keel_pool::identity::{PoolRecord, PoolRecordError};
use keel_reconciler::store::{Keep, Store, StoreError};
use std::sync::Arc;

/// Nodes and tokens.
pub const REGISTRY: &str = "pool/registry";
/// The certificate authority.
pub const AUTHORITY: &str = "pool/authority";
/// Which of its controllers is the present one.
pub const EPOCH: &str = "pool/epoch";

/// The mark of records that are being copied from another store.
pub const MIGRATING: &str = "migrating";

/// Refuses records of which only a part is there.
pub async fn check_migrated(store: &dyn Store) -> Result<()> {
    match store.get(MIGRATING).await.map_err(|error| Failure::new(chain(&error)))? {
        Some(_) => Err(Failure::new("a migration of these records was interrupted")
            .hint("run the same `keel store migrate` again")),
        None => Ok(()),
    }
}

/// One of them.
pub struct StoredRecord {
    /// Where.
    pub store: Arc<dyn Store>,
    /// Its key.
    pub key: &'static str,
}

#[async_trait]
impl PoolRecord for StoredRecord {
    async fn get(&self) -> std::result::Result<Option<(Vec<u8>, u64)>, PoolRecordError> {
        let entry = self.store.get(self.key).await.map_err(store_error)?;
        Ok(entry.map(|entry| (entry.value, entry.revision)))
    }

    async fn put(&self, value: Vec<u8>, expected: u64) -> std::result::Result<(), PoolRecordError> {
        let put = self.store.put(self.key, value, expected, Keep::OnDisk).await;
        put.map(drop).map_err(store_error)
    }
}

fn store_error(error: StoreError) -> PoolRecordError {
    match error {
        StoreError::Moved { .. } => PoolRecordError::Moved,
        other => PoolRecordError::Failed(Box::new(other)),
    }
}

/// Takes the pool over: the epoch on record is the next one, before anything else is done.
pub async fn raise_epoch(store: &dyn Store) -> Result<Epoch> {
    let failed = |error: StoreError| Failure::new(chain(&error));
    loop {
        let entry = store.get(EPOCH).await.map_err(failed)?;
        let (value, at) = entry.map_or((None, 0), |entry| (Some(entry.value), entry.revision));
        let before = Epoch::decode(value.as_deref());
        let next = before.map_err(|error| Failure::new(error.to_string()))?.next();
        match store.put(EPOCH, next.encode(), at, Keep::OnDisk).await {
            Ok(_) => return Ok(next),
            Err(StoreError::Moved { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// The pool's epoch on record.
pub async fn epoch(store: &dyn Store) -> Result<Epoch> {
    let entry = store.get(EPOCH).await.map_err(|error| Failure::new(chain(&error)))?;
    let value = entry.as_ref().map(|entry| entry.value.as_slice());
    Epoch::decode(value).map_err(|error| Failure::new(error.to_string()))
}
