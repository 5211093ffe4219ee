//! Where everything is kept that a controller must not lose (records, nodes, tokens, the pool's certificate
//! authority): keys, values and revisions, with etcd's operations.
//!
//! # Invariants
//! - A key's revision is higher after each put; 0 stands for a key that is not there. A put that
//!   expects another revision changes nothing.
//! - What a range gives was there at one moment.
//! - A watch hints: after each change there is a hint of its key, and possibly others. Whoever hears one looks.

mod etcd;
mod files;
mod index;
mod listing;
mod waiting;
mod watching;

pub use etcd::{EtcdConfig, EtcdStore, EtcdTls, Leadership, LeadershipLost, PoolLeader};
pub use files::FileStore;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
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
    /// Changes cannot be told.
    #[error("cannot watch the records in `{path}`: {why}")]
    Watch {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        why: String,
    },
    /// No member of etcd answers.
    #[error(
        "etcd does not answer at {endpoints} ({why}): nothing is decided until it does, and what runs keeps running"
    )]
    Away {
        /// Where it was asked.
        endpoints: String,
        /// What came of the last try.
        why: String,
    },
    /// It refuses, or cannot be asked.
    #[error("etcd: {why}")]
    Etcd {
        /// What it said.
        why: String,
    },
    /// Another may lead.
    #[error("only the controller that leads writes records, and this one does not lead now")]
    NotLeading,
    /// The file is not a record.
    #[error("`{0}` is not a record: its first line should be `keel-record 1 REVISION`")]
    Damaged(PathBuf),
}

/// What a store gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordHint {
    /// This key may have come, gone or changed.
    Key(String),
    /// Any key may have.
    Anything,
}

/// Keys, values, revisions.
#[async_trait]
pub trait Store: Send + Sync {
    /// One key's value.
    async fn get(&self, key: &str) -> Result<Option<Entry>>;
    /// At which revision a key is; 0: it is not there.
    async fn revision(&self, key: &str) -> Result<u64>;
    /// All keys that begin with this, in order.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>>;
    /// All entries whose keys begin with this, in order, as they are at one moment.
    async fn range(&self, prefix: &str) -> Result<Vec<Entry>>;
    /// Hints at each change of a key that begins with this, whoever makes it, from now on.
    async fn watch(&self, prefix: &str) -> Result<BoxStream<'static, RecordHint>>;
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

/// Whether this can be a key, in every store.
fn check_key(key: &str) -> Result<()> {
    let sound = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    if key.split('/').all(sound) { Ok(()) } else { Err(StoreError::Key(key.to_owned())) }
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
