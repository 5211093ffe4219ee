//! Where records are kept: keys, values and revisions, with etcd's operations.
//!
//! # Invariants
//! - A key's revision is higher after each put; 0 stands for a key that is not there. A put that
//!   expects another revision changes nothing.

mod files;
mod index;
mod listing;
mod waiting;

pub use files::FileStore;

use async_trait::async_trait;
use std::io;
use std::path::PathBuf;

/// A value and the revision at which it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key: words of letters, digits, `.`, `-` and `_`, with `/` between.
    pub key: String,
    /// What was put.
    pub value: Vec<u8>,
    /// When, in puts.
    pub revision: u64,
}

/// Why a store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else was faster.
    #[error("record `{key}` is at revision {found}, not {expected}")]
    Moved {
        /// The key.
        key: String,
        /// What the caller had read.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// No key can look like that.
    #[error("`{0}` cannot be the key of a record")]
    Key(String),
    /// The disk.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a record.
    #[error("`{0}` is not a record: its first line should be `keel-record 1 REVISION`")]
    Damaged(PathBuf),
}

/// What a store gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Keys, values, revisions.
#[async_trait]
pub trait Store: Send + Sync {
    /// One key's value.
    async fn get(&self, key: &str) -> Result<Option<Entry>>;
    /// At which revision a key is; 0: it is not there.
    async fn revision(&self, key: &str) -> Result<u64>;
    /// All keys that begin with this, in order.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>>;
    /// Puts a value, if the key is at the expected revision; gives the new one.
    async fn put(&self, key: &str, value: Vec<u8>, expected: u64, keep: Keep) -> Result<u64>;
    /// Takes a key away; says whether it was there.
    async fn delete(&self, key: &str) -> Result<bool>;
    /// Whether a key that begins with this waits in memory for the disk.
    async fn is_late(&self, prefix: &str) -> bool;
    /// Stores what waits in memory, as far as the disk takes it, and compares what is known without asking the
    /// disk with it, before it is used again: a change may have been missed.
    async fn settle(&self);
}

/// Where a value is kept that the disk does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nowhere; the put is refused. For what begins something: it could be lost.
    OnDisk,
    /// In memory, until the disk takes it or the machine restarts. For what ends something, and what only
    /// tells.
    ForNow,
}
