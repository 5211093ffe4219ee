//! The images of a node: `images/` below the root that a node keeps everything in.
//!
//! # Invariants
//! - Everything is made in `temp/` and gets its name by a rename, when it is known to be right.
//!   Killed at any point, only `temp/` has leftovers, and the next open removes them.
//! - Several processes may use one store. Names and removals are decided under one lock, and a
//!   name is written only when all that it leads to is there.
//! - Nothing is removed here that a remaining name leads to, or that the caller says is in use.

mod blobs;
mod layers;
mod names;
mod references;
mod remove;
pub(crate) mod staging;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use blobs::Blobs;
use layers::Layers;
pub(crate) use references::Record;
use references::References;
pub use remove::{Removed, Swept};
use rustix::fs::{FlockOperation, flock};
use staging::Staging;
pub use staging::Trash;

use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::image::{Image, ImageSummary};
use crate::intake::Taken;
use crate::manifest::{self, Document, Manifest};
use crate::platform::Platform;
use keel_names::Digest;
use keel_names::Reference;

/// The images of a node. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    blobs: Blobs,
    layers: Layers,
    references: References,
    staging: Staging,
    /// Whoever fetches a layer holds its turn: others in this process wait and find it there.
    turns: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    /// What the built-in image is made of.
    executable: Option<PathBuf>,
}

impl Store {
    /// The store in `root/images`, which is created if it is missing. What killed processes left
    /// there is removed.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with(root, None)
    }

    /// The same, able to make the built-in image of keel's own static executable.
    pub fn open_with_built_in(root: &Path, executable: &Path) -> Result<Self> {
        Self::open_with(root, Some(executable.to_owned()))
    }

    fn open_with(root: &Path, executable: Option<PathBuf>) -> Result<Self> {
        let folder = root.join("images");
        let inner = Inner {
            blobs: Blobs::open(&folder)?,
            layers: Layers::open(&folder)?,
            references: References::open(&folder)?,
            staging: Staging::open(&folder.join("temp"))?,
            turns: Mutex::default(),
            folder,
            executable,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Every name on this node, with what it stands for.
    pub fn list(&self) -> Result<Vec<ImageSummary>> {
        let mut summaries = Vec::new();
        for record in self.inner.references.all()? {
            if let Some(image) = self.load(record.digest, record.manifest)? {
                let pulled_at = record.pulled_at.parse().ok();
                summaries.push(ImageSummary::new(record.reference, image, pulled_at));
            }
        }
        Ok(summaries)
    }

    /// An image by the digest of its manifest, or of an index that offers one for the platform.
    pub(crate) fn find(&self, digest: Digest, platform: &Platform) -> Result<Option<Image>> {
        match self.manifest_document(digest)? {
            Some(Document::Manifest(_)) => self.load(digest, digest),
            Some(Document::Index(index)) => match manifest::choose(&index, platform) {
                Ok(chosen) => self.load(digest, chosen.digest),
                Err(_) => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// An image, if its manifest, configuration and layers are all here.
    pub(crate) fn load(&self, digest: Digest, manifest: Digest) -> Result<Option<Image>> {
        let Some(Document::Manifest(parts)) = self.manifest_document(manifest)? else {
            return Ok(None);
        };
        let Some(config) = self.config(parts.config.digest)? else { return Ok(None) };
        let mut layers = Vec::new();
        let mut size = 0;
        for layer in topmost(&config.rootfs.diff_ids) {
            let Some(done) = self.inner.layers.done(layer) else { return Ok(None) };
            size += done.bytes;
            layers.push(self.inner.layers.root(layer));
        }
        let (id, created) = (parts.config.digest, config.created());
        let config = config.image_config();
        Ok(Some(Image { digest, manifest, id, config, layers, size, created }))
    }

    fn manifest_document(&self, digest: Digest) -> Result<Option<Document>> {
        let bytes = self.inner.blobs.document(digest)?;
        Ok(bytes.and_then(|bytes| manifest::parse(&bytes, "").ok()))
    }

    fn config(&self, digest: Digest) -> Result<Option<ConfigFile>> {
        let bytes = self.inner.blobs.document(digest)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes the name of an image, if all of it is (still) here.
    pub(crate) fn commit(
        &self,
        name: &Reference,
        digest: Digest,
        manifest: Digest,
    ) -> Result<Option<Image>> {
        let _lock = self.lock()?;
        let Some(image) = self.load(digest, manifest)? else { return Ok(None) };
        let record = Record::new(name.clone(), digest, manifest, image.size);
        self.inner.references.put(&self.inner.staging, &record)?;
        Ok(Some(image))
    }

    /// Names and removals, one at a time, among all processes.
    fn lock(&self) -> Result<File> {
        let path = self.inner.folder.join("lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| Error::io("lock", &path)(error.into()))?;
        Ok(file)
    }

    pub(crate) fn staging(&self) -> &Staging {
        &self.inner.staging
    }

    pub(crate) fn put_document(&self, bytes: &[u8]) -> Result<Digest> {
        self.inner.blobs.put(&self.inner.staging, bytes)
    }

    pub(crate) fn document(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        self.inner.blobs.document(digest)
    }

    pub(crate) fn has_layer(&self, diff_id: Digest) -> bool {
        self.inner.layers.done(diff_id).is_some()
    }

    pub(crate) fn place_layer(&self, taken: Taken, blob: Digest, diff_id: Digest) -> Result<()> {
        if let Some(file) = taken.blob {
            self.inner.blobs.place(file, blob)?;
        }
        self.inner.layers.place(taken.folder, diff_id, taken.unpacked)
    }

    /// A blob that an earlier pull left, as a stream to be checked.
    pub(crate) fn blob_stream(&self, digest: Digest) -> Option<File> {
        self.inner.blobs.stream(digest)
    }

    pub(crate) fn drop_blob(&self, digest: Digest) -> Result<()> {
        let trash = Trash::new(&self.inner.staging)?;
        self.inner.blobs.remove(&trash, digest).map(drop)
    }

    pub(crate) fn record(&self, reference: &Reference) -> Result<Option<Record>> {
        self.inner.references.get(reference)
    }

    /// The place where one file of ours may be kept beside the rest.
    pub(crate) fn folder(&self) -> &Path {
        &self.inner.folder
    }

    pub(crate) fn executable(&self) -> Option<&Path> {
        self.inner.executable.as_deref()
    }

    /// The turn to fetch a layer.
    pub(crate) fn turn(&self, diff_id: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&diff_id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(diff_id, Arc::downgrade(&turn));
        turn
    }
}

/// The layers to mount. Overlayfs takes none twice, and of a layer that an image has twice only
/// the upper one can be seen: whatever the lower one shows, the upper one shows above it.
fn topmost(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut seen = BTreeSet::new();
    let mut layers: Vec<_> = diff_ids.iter().rev().filter(|layer| seen.insert(**layer)).collect();
    layers.reverse();
    layers.into_iter().copied().collect()
}

/// What an image consists of, by what it is kept as.
#[derive(Debug, Default)]
struct Holdings {
    blobs: BTreeSet<Digest>,
    layers: BTreeSet<Digest>,
}

impl Holdings {
    fn add_manifest(&mut self, digest: Digest, manifest: &Manifest) {
        self.blobs.extend([digest, manifest.config.digest]);
        self.blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
    }

    fn extend(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.layers.extend(other.layers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_layer_that_comes_twice_the_upper_one_counts() {
        let [a, b] = [b"a", b"b"].map(|name| Digest::of(name));
        assert_eq!(topmost(&[a, b, a]), [b, a]);
        assert_eq!(topmost(&[a, a]), [a]);
    }
}
