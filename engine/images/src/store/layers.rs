//! `layers/HEX/`: unpacked layers under the digest of their plain stream. `root/` is what an
//! overlay mount takes, `done` says what it holds.
//!
//! # Invariants
//! - A layer's folder appears whole, by one rename, or not at all.
//! - Layers are independent of each other: one serves every image that has it, above whatever.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::staging::{StagedFolder, Trash};
use crate::error::{Error, Result};
use crate::unpack::Unpacked;
use keel_names::Digest;

/// All unpacked layers of a store.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    folder: PathBuf,
}

/// What is known of an unpacked layer. Unknown fields are ignored: others may add some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    version: u32,
    /// Bytes of its files.
    pub(super) bytes: u64,
    entries: u64,
}

impl Layers {
    pub(super) fn open(images: &Path) -> Result<Self> {
        let folder = images.join("layers");
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        Ok(Self { folder })
    }

    /// The folder that an overlay mount takes.
    pub(super) fn root(&self, layer: Digest) -> PathBuf {
        self.folder.join(layer.hex()).join("root")
    }

    /// What the layer holds, if it is here.
    pub(super) fn done(&self, layer: Digest) -> Option<Done> {
        let text = std::fs::read(self.folder.join(layer.hex()).join("done")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Takes a folder whose content was found to be this layer.
    pub(super) fn place(&self, staged: StagedFolder, layer: Digest, held: Unpacked) -> Result<()> {
        let marker = staged.path().join("done");
        let done = Done { version: 1, bytes: held.bytes, entries: held.entries };
        let text = serde_json::to_vec(&done).expect("numbers are JSON");
        std::fs::write(&marker, text).map_err(Error::io("write", &marker))?;
        let written = std::fs::File::open(&marker).and_then(|file| file.sync_all());
        written.map_err(Error::io("sync", &marker))?;
        staged.place(&self.folder.join(layer.hex()))
    }

    /// Takes a layer away and says how large it was. By one rename, so that a removal that is cut
    /// short leaves no half of a layer.
    pub(super) fn remove(&self, trash: &Trash, layer: Digest) -> Result<u64> {
        let Some(done) = self.done(layer) else { return Ok(0) };
        let path = self.folder.join(layer.hex());
        let there = trash.take(&path, &format!("layer-{}", layer.hex()))?;
        Ok(if there { done.bytes } else { 0 })
    }

    /// Since when a layer is here.
    pub(super) fn since(&self, layer: Digest) -> Option<SystemTime> {
        let done = self.folder.join(layer.hex()).join("done");
        done.metadata().and_then(|metadata| metadata.modified()).ok()
    }

    /// The names of all layers.
    pub(super) fn all(&self) -> Result<Vec<Digest>> {
        super::names::names(&self.folder)
    }
}
