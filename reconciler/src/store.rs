//! Where records are kept: keys, values and revisions, with etcd's operations.
//!
//! # Invariants
//! - A key's revision is higher after each put; 0 stands for a key that is not there. A put that
//!   expects another revision changes nothing.
//! - [`FileStore`]: one file a key; a reader sees the old or the new value, whole. Writers of all
//!   processes take turns by a lock on `records/.lock`.

use async_trait::async_trait;
use keel_durable::Hold;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

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

/// More than the first line of any record has.
const LONGEST_HEAD: usize = 64;

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
    async fn put(&self, key: &str, value: Vec<u8>, expected: u64) -> Result<u64>;
    /// Takes a key away; says whether it was there.
    async fn delete(&self, key: &str) -> Result<bool>;
}

/// Plain files below one folder.
#[derive(Debug, Clone)]
pub struct FileStore {
    root: PathBuf,
}

impl FileStore {
    /// A store in this folder, which is made where it is missing.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        keel_durable::make_folder(&root, 0o755).map_err(io_error("create", &root))?;
        Ok(Self { root })
    }

    /// File operations are short, but they wait for the disk: off the runtime's own threads.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        keel_blocking::run(move || work(&this)).await
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        let sound = |word: &str| {
            !word.is_empty()
                && !word.starts_with('.')
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !key.split('/').all(sound) {
            return Err(StoreError::Key(key.to_owned()));
        }
        Ok(self.root.join(format!("{key}.json")))
    }

    fn lock(&self) -> Result<File> {
        let path = self.root.join(".lock");
        let file = File::create(&path).map_err(io_error("open", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(file)
    }

    fn read(&self, key: &str) -> Result<Option<Entry>> {
        let path = self.path(key)?;
        match fs::read(&path) {
            Ok(bytes) => decode(key, &bytes).map(Some).ok_or(StoreError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { what: "read", path, source }),
        }
    }

    fn write(&self, key: &str, value: &[u8], expected: u64) -> Result<u64> {
        let _turn = self.lock()?;
        let found = self.read(key)?.map_or(0, |entry| entry.revision);
        if found != expected {
            return Err(StoreError::Moved { key: key.to_owned(), expected, found });
        }
        let revision = self.next_revision(found);
        let mut bytes = format!("keel-record 1 {revision}\n").into_bytes();
        bytes.extend_from_slice(value);
        write_whole(&self.path(key)?, &bytes)?;
        Ok(revision)
    }

    /// One counter for all keys, so that a key that went and came back has a revision that nobody
    /// has read before. It need not survive the machine: neither do those who have read one.
    fn next_revision(&self, found: u64) -> u64 {
        let path = self.root.join(".revision");
        let last = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let next = found.max(last.unwrap_or(0)) + 1;
        let _ = keel_durable::replace(&path, next.to_string().as_bytes(), 0o600, Hold::Process);
        next
    }

    fn remove(&self, key: &str) -> Result<bool> {
        let _turn = self.lock()?;
        let path = self.path(key)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(StoreError::Io { what: "remove", path, source }),
        }
        // Folders that are empty now go too; one that is not stays, which is what we want.
        let below = path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        let _ = below.map(fs::remove_dir).take_while(io::Result::is_ok).count();
        Ok(true)
    }

    /// Of the first line alone.
    fn read_revision(&self, key: &str) -> Result<u64> {
        let path = self.path(key)?;
        let mut head = [0; LONGEST_HEAD];
        let read = File::open(&path).and_then(|file| {
            let mut head = &mut head[..];
            io::copy(&mut file.take(LONGEST_HEAD as u64), &mut head)
        });
        match read {
            Ok(_) => decode(key, &head).map(|e| e.revision).ok_or(StoreError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(StoreError::Io { what: "read", path, source }),
        }
    }

    fn walk(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        // Nothing beside the prefix's own folder can begin with it.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let above = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        keys_below(&self.root.join(folder), &above, &mut keys)?;
        keys.retain(|key| key.starts_with(prefix));
        keys.sort();
        Ok(keys)
    }
}

#[async_trait]
impl Store for FileStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let key = key.to_owned();
        self.off_thread(move |store| store.read(&key)).await
    }

    async fn revision(&self, key: &str) -> Result<u64> {
        let key = key.to_owned();
        self.off_thread(move |store| store.read_revision(&key)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let prefix = prefix.to_owned();
        self.off_thread(move |store| store.walk(&prefix)).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, expected: u64) -> Result<u64> {
        let key = key.to_owned();
        self.off_thread(move |store| store.write(&key, &value, expected)).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.off_thread(move |store| store.remove(&key)).await
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

fn decode(key: &str, bytes: &[u8]) -> Option<Entry> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let header = std::str::from_utf8(&bytes[..end]).ok()?;
    let revision = header.strip_prefix("keel-record 1 ")?.parse().ok()?;
    Some(Entry { key: key.to_owned(), value: bytes[end + 1..].to_vec(), revision })
}

fn keys_below(folder: &Path, prefix: &str, keys: &mut Vec<String>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("read", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io_error("read", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            keys_below(&entry.path(), &format!("{prefix}{name}/"), keys)?;
        } else if let Some(word) = name.strip_suffix(".json") {
            keys.push(format!("{prefix}{word}"));
        }
    }
    Ok(())
}

/// Writes a file so that a reader, or the next start after a crash, finds the old or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().expect("a record's path is below the root");
    if !folder.is_dir() {
        keel_durable::make_folder(folder, 0o755).map_err(io_error("create", folder))?;
    }
    // What services are given as environment is in records.
    keel_durable::replace(path, bytes, 0o600, Hold::Power).map_err(io_error("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_put_needs_the_revision_that_is_there() {
        let (_folder, store) = store();
        let first = store.put("stacks/a/desired", b"1".to_vec(), 0).await.unwrap();
        let stale = store.put("stacks/a/desired", b"2".to_vec(), 0).await;
        assert!(matches!(stale, Err(StoreError::Moved { found, .. }) if found == first));
        let second = store.put("stacks/a/desired", b"2".to_vec(), first).await.unwrap();
        assert!(second > first);
        assert_eq!(store.get("stacks/a/desired").await.unwrap().unwrap().value, b"2");
    }

    #[tokio::test]
    async fn a_key_that_comes_back_has_a_revision_nobody_has_read() {
        let (_folder, store) = store();
        let first = store.put("a", b"1".to_vec(), 0).await.unwrap();
        assert!(store.delete("a").await.unwrap());
        assert!(!store.delete("a").await.unwrap());
        let again = store.put("a", b"1".to_vec(), 0).await.unwrap();
        assert!(again > first);
    }

    #[tokio::test]
    async fn keys_are_ordered_and_one_may_lie_beside_its_folder() {
        let (_folder, store) = store();
        for key in ["stacks/b/x", "stacks/a/y", "stacks/a", "sources/a"] {
            store.put(key, vec![], 0).await.unwrap();
        }
        let keys = store.keys("stacks/").await.unwrap();
        assert_eq!(keys, ["stacks/a", "stacks/a/y", "stacks/b/x"]);
        assert_eq!(store.keys("stacks/a/").await.unwrap(), ["stacks/a/y"]);
        assert_eq!(store.keys("stacks/a").await.unwrap(), ["stacks/a", "stacks/a/y"]);
        let there = store.get("stacks/a").await.unwrap().unwrap().revision;
        assert_eq!(store.revision("stacks/a").await.unwrap(), there);
        assert_eq!(store.revision("stacks/z").await.unwrap(), 0);
    }

    #[tokio::test]
    async fn keys_cannot_leave_the_folder() {
        let (_folder, store) = store();
        for key in ["../a", "a/../b", "/a", "a//b", "", ".lock", "a b"] {
            let put = store.put(key, vec![], 0).await;
            assert!(matches!(put, Err(StoreError::Key(_))), "{key}");
        }
    }

    #[tokio::test]
    async fn writers_take_turns() {
        let (_folder, store) = store();
        let add = |store: FileStore| async move {
            loop {
                let (value, at) = match store.get("n").await.unwrap() {
                    Some(entry) => (entry.value.len(), entry.revision),
                    None => (0, 0),
                };
                if store.put("n", vec![0; value + 1], at).await.is_ok() {
                    return;
                }
            }
        };
        let all: Vec<_> = (0..16).map(|_| tokio::spawn(add(store.clone()))).collect();
        for one in all {
            one.await.unwrap();
        }
        assert_eq!(store.get("n").await.unwrap().unwrap().value.len(), 16);
    }
}
