//! Where the registry is kept, and where the authority: one value with a revision, replaced by compare-and-swap.
//!
//! The controller's store does this with a key for each: `get` is the store's of that key, and `put` the store's with
//! the expected revision, refused where the disk does not take it; its `Moved` is [`PoolRecordError::Moved`].

use async_trait::async_trait;
use std::error::Error;

/// One value, revisions.
#[async_trait]
pub trait PoolRecord: Send + Sync {
    /// The value and its revision; `None` where none was put.
    async fn get(&self) -> Result<Option<(Vec<u8>, u64)>, PoolRecordError>;

    /// Puts a value, if the present one is at the expected revision (0: there is none); durable once it returns.
    async fn put(&self, value: Vec<u8>, expected: u64) -> Result<(), PoolRecordError>;
}

/// Why a store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolRecordError {
    /// Somebody else was faster.
    #[error("somebody else changed the record of the pool at the same time; try again")]
    Moved,
    /// The store's own error, which says where and why.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}
