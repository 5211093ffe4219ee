//! One file a key, below one folder.
//!
//! # Invariants
//! - A reader sees the old or the new value, whole. Writers of all processes take turns by a lock on
//!   `records/.lock`.
//! - What ends something can be decided on any disk: such a value is kept in memory until the disk takes it
//!   ([`Keep::ForNow`]). Of two values of a key the one at the higher revision counts.

use super::index::Index;
use super::listing::{key_of, keys_below, path_of};
use super::waiting::{Waiting, decode, encode, revision_at};
use super::watching::watch;
use super::{Entry, Keep, RecordHint, Result, Store, StoreError, check_key};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use keel_durable::{Hold, Late, Remembered};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Plain files below one folder.
#[derive(Debug, Clone)]
pub struct FileStore {
    root: PathBuf,
    late: Late,
    /// By key: a record is read again only when its file changed.
    revisions: Arc<Remembered<String, u64>>,
    /// Of who asks again and again.
    index: Option<Arc<Index>>,
}

impl FileStore {
    /// A store in this folder, which is made where it is missing.
    pub fn open(root: impl Into<PathBuf>, late: Late) -> Result<Self> {
        let root = root.into();
        keel_durable::make_folder(&root, 0o755).map_err(io_error("create", &root))?;
        Ok(Self { root, late, revisions: Arc::default(), index: None })
    }

    /// The same for whoever serves: what is there is kept in memory, as far as changes are told.
    #[must_use]
    pub fn watched(self) -> Self {
        let index = Index::new(&self.root, &self.late).map(Arc::new);
        Self { index, ..self }
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
        check_key(key)?;
        Ok(path_of(&self.root, key))
    }

    fn lock(&self) -> Result<File> {
        let path = self.root.join(".lock");
        let file = match File::create(&path) {
            // Whoever can open a file can lock it.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(&path),
            created => created,
        };
        let file = file.map_err(io_error("open", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(file)
    }

    fn read(&self, key: &str) -> Result<Option<Entry>> {
        let path = self.path(key)?;
        let late = self.late.read(&path);
        let on_disk = match keel_durable::read(&path) {
            Ok(bytes) => Some(decode(key, &bytes).ok_or(StoreError::Damaged(path))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(StoreError::Io { what: "read", path, source }),
        };
        Ok(match late.and_then(|bytes| Waiting::decode(key, &bytes)) {
            Some(waiting) => waiting.over(on_disk),
            None => on_disk,
        })
    }

    fn write(&self, key: &str, value: &[u8], expected: u64, keep: Keep) -> Result<u64> {
        let _turn = self.lock()?;
        let found = self.revision_on_disk(key)?;
        if found != expected {
            return Err(StoreError::Moved { key: key.to_owned(), expected, found });
        }
        let (path, revision) = (self.path(key)?, self.next_revision(found));
        let bytes = encode(revision, value);
        match write_whole(&path, &bytes) {
            Ok(()) => {
                self.late.forget(&path);
                self.tell(|index| index.note_put(key, &path, revision));
            }
            // What the disk said is the answer, also where memory takes nothing either.
            Err(error) if keep == Keep::OnDisk || self.late.keep(&path, &bytes).is_err() => {
                return Err(error);
            }
            Err(_) => {
                self.tell(Index::note_late);
                return Ok(revision);
            }
        }
        self.settle_all();
        Ok(revision)
    }

    /// One counter for all keys, so that a key that went and came back has a revision that nobody
    /// has read before. It need not survive the machine: neither do those who have read one.
    fn next_revision(&self, found: u64) -> u64 {
        let path = self.root.join(".revision");
        let last = self.late.read(&path).or_else(|| keel_durable::read(&path).ok());
        let last = last.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
        let next = found.max(last.unwrap_or(0)) + 1;
        let _ = self.late.replace(&path, next.to_string().as_bytes(), 0o600, Hold::Process);
        next
    }

    fn remove(&self, key: &str) -> Result<bool> {
        let _turn = self.lock()?;
        let Some(found) = self.read(key)? else { return Ok(false) };
        let path = self.path(key)?;
        match self.remove_file(&path) {
            Ok(()) => {
                self.late.forget(&path);
                self.tell(|index| index.note_gone(key));
            }
            Err(error) => {
                let gone = Waiting::gone(self.next_revision(found.revision));
                self.late.keep(&path, &gone).map_err(|_| error)?;
                self.tell(Index::note_late);
            }
        }
        Ok(true)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("remove", path)(error)),
        }
        // Folders that are empty now go too; one that is not stays, which is what we want.
        let below = path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        let _ = below.map(fs::remove_dir).take_while(io::Result::is_ok).count();
        Ok(())
    }

    /// In somebody's turn. What the disk does not take yet stays for the next time.
    fn settle_all(&self) {
        for path in self.late.paths(&self.root) {
            let Some(bytes) = self.late.read(&path) else { continue };
            let key = key_of(&self.root, &path).unwrap_or_default();
            let settled = match Waiting::decode(&key, &bytes) {
                Some(waiting) => self.settle_one(&path, &bytes, &waiting),
                // The counter.
                None => write_whole(&path, &bytes),
            };
            if settled.is_ok() {
                self.late.forget(&path);
            }
        }
    }

    fn settle_one(&self, path: &Path, bytes: &[u8], waiting: &Waiting) -> Result<()> {
        let on_disk = fs::read(path).ok().and_then(|bytes| decode("", &bytes));
        match waiting {
            _ if on_disk.is_some_and(|entry| entry.revision >= waiting.revision()) => Ok(()),
            Waiting::Put(_) => write_whole(path, bytes),
            Waiting::Gone(_) => self.remove_file(path),
        }
    }

    /// In somebody's turn, so that no look of another's comes between the change and this.
    fn tell(&self, note: impl FnOnce(&Index)) {
        if let Some(index) = &self.index {
            note(index);
        }
    }

    fn revision_of(&self, key: &str) -> Result<u64> {
        match self.index.as_ref().map(|index| index.revision(key)).transpose()?.flatten() {
            Some(known) => Ok(known),
            None => self.revision_on_disk(key),
        }
    }

    fn revision_on_disk(&self, key: &str) -> Result<u64> {
        if self.late.is_any() {
            return Ok(self.read(key)?.map_or(0, |entry| entry.revision));
        }
        let path = self.path(key)?;
        let read = || revision_at(&path).map(|found| (found > 0).then_some(found));
        let found = self.revisions.get(&key.to_owned(), std::slice::from_ref(&path), read)?;
        Ok(found.map_or(0, |found| *found))
    }

    fn walk(&self, prefix: &str) -> Result<Vec<String>> {
        if let Some(index) = &self.index
            && let Some(keys) = index.keys(prefix)?
        {
            return Ok(keys);
        }
        self.keys_on_disk(prefix)
    }

    fn keys_on_disk(&self, prefix: &str) -> Result<Vec<String>> {
        // Nothing beside the prefix's own folder can begin with it.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut keys = keys_below(&self.root, &self.root.join(folder))?;
        keys.retain(|key| key.starts_with(prefix));
        for key in self.late_keys(prefix) {
            keys.retain(|other| *other != key);
            if self.read(&key)?.is_some() {
                keys.push(key);
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// In somebody's turn, so that nothing changes meanwhile.
    fn read_all(&self, prefix: &str) -> Result<Vec<Entry>> {
        let _turn = self.lock()?;
        let keys = self.keys_on_disk(prefix)?;
        let entries = keys.iter().map(|key| self.read(key).transpose());
        entries.flatten().collect()
    }

    fn late_keys(&self, prefix: &str) -> Vec<String> {
        let paths = self.late.paths(&self.root);
        let keys = paths.iter().filter_map(|path| key_of(&self.root, path));
        keys.filter(|key| key.starts_with(prefix)).collect()
    }
}

#[async_trait]
impl Store for FileStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        let key = key.to_owned();
        self.off_thread(move |store| store.read(&key)).await
    }

    async fn revision(&self, key: &str) -> Result<u64> {
        if let Some(known) = self.index.as_ref().and_then(|index| index.known_revision(key)) {
            return Ok(known);
        }
        let key = key.to_owned();
        self.off_thread(move |store| store.revision_of(&key)).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        if let Some(known) = self.index.as_ref().and_then(|index| index.known_keys(prefix)) {
            return Ok(known);
        }
        let prefix = prefix.to_owned();
        self.off_thread(move |store| store.walk(&prefix)).await
    }

    async fn range(&self, prefix: &str) -> Result<Vec<Entry>> {
        let prefix = prefix.to_owned();
        self.off_thread(move |store| store.read_all(&prefix)).await
    }

    async fn watch(&self, prefix: &str) -> Result<BoxStream<'static, RecordHint>> {
        let prefix = prefix.to_owned();
        self.off_thread(move |store| watch(&store.root, prefix)).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, expected: u64, keep: Keep) -> Result<u64> {
        let key = key.to_owned();
        self.off_thread(move |store| store.write(&key, &value, expected, keep)).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let key = key.to_owned();
        self.off_thread(move |store| store.remove(&key)).await
    }

    async fn is_late(&self, prefix: &str) -> bool {
        let known = self.index.as_ref().and_then(|index| index.known_late());
        if !known.unwrap_or_else(|| self.late.is_any()) {
            return false; // Almost always.
        }
        let prefix = prefix.to_owned();
        let late = self.off_thread(move |store| Ok(!store.late_keys(&prefix).is_empty())).await;
        late.unwrap_or(false)
    }

    async fn settle(&self) {
        self.tell(Index::doubt);
        if !self.late.is_any() {
            return;
        }
        let settled = self.off_thread(|store| {
            let _turn = store.lock()?;
            store.settle_all();
            Ok(())
        });
        // Without a turn, the next time does it.
        let _ = settled.await;
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
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

    fn late(folder: &tempfile::TempDir) -> Late {
        Late::new(folder.path(), folder.path().join("memory"))
    }

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path().join("records"), late(&folder)).unwrap();
        (folder, store)
    }

    /// No file can be written where a folder has its name: a disk that refuses to write.
    #[tokio::test]
    async fn what_the_disk_refuses_waits_in_memory_and_what_begins_something_is_refused() {
        let (folder, store) = store();
        let first = store.put("stacks/a", b"1".to_vec(), 0, Keep::OnDisk).await.unwrap();
        let block = format!("records/stacks/b/.x.json.{}.new", std::process::id());
        let block = folder.path().join(block);
        fs::create_dir_all(&block).unwrap();
        let begins = store.put("stacks/b/x", b"1".to_vec(), 0, Keep::OnDisk).await;
        assert!(matches!(begins, Err(StoreError::Io { .. })), "{begins:?}");
        assert!(!store.is_late("stacks/b/").await);
        let ends = store.put("stacks/b/x", b"2".to_vec(), 0, Keep::ForNow).await;
        assert!(ends.unwrap_or_default() > first);

        // Another process finds it, and so does one after this.
        let other = FileStore::open(folder.path().join("records"), late(&folder)).unwrap();
        assert!(other.is_late("stacks/b/").await && !other.is_late("stacks/a").await);
        fs::remove_dir(&block).unwrap();
        assert_eq!(other.get("stacks/b/x").await.unwrap().unwrap().value, b"2");
        assert_eq!(other.keys("stacks/").await.unwrap(), ["stacks/a", "stacks/b/x"]);
        other.settle().await;
        assert!(!other.is_late("").await && folder.path().join("records/stacks/b/x.json").exists());
        assert_eq!(other.get("stacks/b/x").await.unwrap().unwrap().value, b"2");
    }

    #[tokio::test]
    async fn of_two_values_the_newer_counts_wherever_it_is() {
        let (folder, store) = store();
        let path = folder.path().join("records/a.json");
        let first = store.put("a", b"old".to_vec(), 0, Keep::OnDisk).await.unwrap();
        let late = late(&folder);
        late.keep(&path, &Waiting::gone(first + 1)).unwrap();
        assert_eq!(store.get("a").await.unwrap(), None);
        assert_eq!(store.keys("").await.unwrap(), [] as [&str; 0]);
        // Whoever put it back on the disk died before the one in memory was dropped.
        fs::write(&path, encode(first + 2, b"new")).unwrap();
        assert_eq!(store.get("a").await.unwrap().unwrap().value, b"new");
        store.settle().await;
        assert_eq!(store.get("a").await.unwrap().unwrap().value, b"new");
        late.keep(&path, &Waiting::gone(first + 3)).unwrap();
        store.settle().await;
        assert!(!path.exists() && !late.is_any());
    }
}
