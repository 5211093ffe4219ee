//! Taking away names, and what no name leads to any more.

use std::collections::BTreeSet;

use super::{Holdings, Store};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Document;
use crate::reference::Reference;

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// The name, if one was removed.
    pub untagged: Option<Reference>,
    /// Manifests, configurations, layers' blobs and unpacked layers.
    pub deleted: Vec<Digest>,
    /// Bytes that are free now.
    pub freed: u64,
}

impl Store {
    /// Removes a name, and what only it led to. Kept is what other names lead to, and what
    /// `in_use` names: digests of manifests ([`Image::manifest`](crate::Image::manifest)) or
    /// indexes, or diff-ids of layers.
    pub fn remove(&self, reference: &Reference, in_use: &BTreeSet<Digest>) -> Result<Removed> {
        let _lock = self.lock()?;
        let record = self.inner.references.get(reference)?;
        let record = record.ok_or_else(|| Error::NotHere { reference: reference.clone() })?;
        let mut gone = self.holdings(record.digest)?;
        gone.extend(self.holdings(record.manifest)?);
        self.inner.references.remove(reference)?;
        let removed = self.delete(gone, &self.kept(in_use)?)?;
        Ok(Removed { untagged: Some(record.reference), ..removed })
    }

    /// Removes whatever no name leads to: images whose name moved on, and parts of pulls that
    /// were given up. A pull that goes on meanwhile fetches again what it misses.
    pub fn sweep(&self, in_use: &BTreeSet<Digest>) -> Result<Removed> {
        let _lock = self.lock()?;
        super::staging::clean(&self.inner.folder.join("temp"))?;
        let all = Holdings {
            blobs: self.inner.blobs.all()?.into_iter().collect(),
            layers: self.inner.layers.all()?.into_iter().collect(),
        };
        self.delete(all, &self.kept(in_use)?)
    }

    /// What remaining names and the caller's use lead to.
    fn kept(&self, in_use: &BTreeSet<Digest>) -> Result<Holdings> {
        let mut kept = Holdings::default();
        for record in self.inner.references.all()? {
            kept.extend(self.holdings(record.digest)?);
            kept.extend(self.holdings(record.manifest)?);
        }
        for digest in in_use {
            kept.extend(self.holdings(*digest)?);
        }
        Ok(kept)
    }

    /// What a digest of whatever kind leads to. An index leads to those of its images that are
    /// here, which is the one for this machine.
    fn holdings(&self, digest: Digest) -> Result<Holdings> {
        let mut holdings = Holdings { blobs: [digest].into(), layers: [digest].into() };
        match self.manifest_document(digest)? {
            Some(Document::Manifest(manifest)) => {
                holdings.add_manifest(digest, &manifest);
                if let Some(config) = self.config(manifest.config.digest)? {
                    holdings.layers.extend(config.rootfs.diff_ids);
                }
            }
            Some(Document::Index(index)) => {
                for entry in index {
                    if self.inner.blobs.has(entry.digest) && entry.digest != digest {
                        holdings.extend(self.holdings(entry.digest)?);
                    }
                }
            }
            None => {}
        }
        Ok(holdings)
    }

    fn delete(&self, gone: Holdings, kept: &Holdings) -> Result<Removed> {
        let mut removed = Removed::default();
        for blob in gone.blobs.difference(&kept.blobs).filter(|blob| self.inner.blobs.has(**blob)) {
            removed.freed += self.inner.blobs.remove(*blob)?;
            removed.deleted.push(*blob);
        }
        for layer in gone.layers.difference(&kept.layers).filter(|layer| self.has_layer(**layer)) {
            removed.freed += self.inner.layers.remove(&self.inner.staging, *layer)?;
            removed.deleted.push(*layer);
        }
        Ok(removed)
    }
}
