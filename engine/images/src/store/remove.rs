//! Taking away names, and what no name leads to any more.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::{Holdings, Record, Store, Trash};
use crate::error::{Error, Result};
use crate::manifest::Document;
use keel_names::Digest;
use keel_names::Reference;

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

/// What a sweep took away.
#[derive(Debug)]
pub struct Swept {
    /// The names.
    pub untagged: Vec<Reference>,
    /// What was behind them, and what had no name.
    pub removed: Removed,
    /// To be dropped where it may take a while, and no lock is held.
    pub trash: Trash,
}

impl Store {
    /// Removes a name, and what only it led to. Kept is what other names lead to, and what
    /// `in_use` names: digests of manifests ([`Image::manifest`](crate::Image::manifest)) or
    /// indexes, or diff-ids of layers.
    pub fn remove(&self, reference: &Reference, in_use: &BTreeSet<Digest>) -> Result<Removed> {
        let trash = Trash::new(&self.inner.staging)?;
        let _lock = self.lock()?;
        let record = self.inner.references.get(reference)?;
        let record = record.ok_or_else(|| Error::NotHere { reference: reference.clone() })?;
        let gone = self.led_to(&record)?;
        let kept = self.kept(std::slice::from_ref(&record), in_use)?;
        self.inner.references.remove(reference)?;
        let removed = self.delete(gone, &kept, &trash)?;
        Ok(Removed { untagged: Some(record.reference), ..removed })
    }

    /// Removes these names with what only they lead to, and whatever no name leads to that is here
    /// since before then: images
    /// whose name moved on, and parts of pulls that were given up. A pull that goes on meanwhile
    /// fetches again what it misses.
    ///
    /// Quick: files are only moved. Dropping [`Swept::trash`] deletes them.
    pub fn sweep(
        &self,
        names: &BTreeSet<Reference>,
        in_use: &BTreeSet<Digest>,
        before: SystemTime,
    ) -> Result<Swept> {
        let trash = Trash::new(&self.inner.staging)?;
        let _lock = self.lock()?;
        super::staging::clean(&self.inner.folder.join("temp"))?;
        let records = self.known(names)?;
        let (gone, kept) = (self.going(&records, before)?, self.kept(&records, in_use)?);
        for record in &records {
            self.inner.references.remove(&record.reference)?;
        }
        let removed = self.delete(gone, &kept, &trash)?;
        let untagged = records.into_iter().map(|record| record.reference).collect();
        Ok(Swept { untagged, removed, trash })
    }

    /// What the same [`sweep`](Self::sweep) would take away: the names, and bytes.
    pub fn sweepable(
        &self,
        names: &BTreeSet<Reference>,
        in_use: &BTreeSet<Digest>,
        before: SystemTime,
    ) -> Result<(Vec<Reference>, u64)> {
        let records = self.known(names)?;
        let (gone, kept) = (self.going(&records, before)?, self.kept(&records, in_use)?);
        let blobs = gone.blobs.difference(&kept.blobs);
        let layers = gone.layers.difference(&kept.layers);
        let names = records.iter().map(|record| record.reference.clone()).collect();
        Ok((names, self.bytes(blobs, layers)))
    }

    /// Bytes of everything that is here.
    pub fn size(&self) -> Result<u64> {
        let (blobs, layers) = (self.inner.blobs.all()?, self.inner.layers.all()?);
        Ok(self.bytes(blobs.iter(), layers.iter()))
    }

    fn bytes<'a>(
        &self,
        blobs: impl Iterator<Item = &'a Digest>,
        layers: impl Iterator<Item = &'a Digest>,
    ) -> u64 {
        let layers = layers.filter_map(|layer| self.inner.layers.done(*layer));
        let layers: u64 = layers.map(|done| done.bytes).sum();
        layers + blobs.map(|blob| self.inner.blobs.size(*blob)).sum::<u64>()
    }

    /// Those of the names that are here.
    fn known(&self, names: &BTreeSet<Reference>) -> Result<Vec<Record>> {
        let found = names.iter().map(|name| self.inner.references.get(name));
        found.filter_map(Result::transpose).collect()
    }

    /// What these names lead to, and whatever is here since before then.
    fn going(&self, records: &[Record], before: SystemTime) -> Result<Holdings> {
        let mut gone = self.here_before(before)?;
        for record in records {
            gone.extend(self.led_to(record)?);
        }
        Ok(gone)
    }

    fn led_to(&self, record: &Record) -> Result<Holdings> {
        let mut holdings = self.holdings(record.digest)?;
        holdings.extend(self.holdings(record.manifest)?);
        Ok(holdings)
    }

    fn here_before(&self, before: SystemTime) -> Result<Holdings> {
        let old = |since: Option<SystemTime>| since.is_some_and(|since| since < before);
        let (mut blobs, mut layers) = (self.inner.blobs.all()?, self.inner.layers.all()?);
        blobs.retain(|blob| old(self.inner.blobs.since(*blob)));
        layers.retain(|layer| old(self.inner.layers.since(*layer)));
        Ok(Holdings { blobs: blobs.into_iter().collect(), layers: layers.into_iter().collect() })
    }

    /// What other names and the caller's use lead to.
    fn kept(&self, gone: &[Record], in_use: &BTreeSet<Digest>) -> Result<Holdings> {
        let mut kept = Holdings::default();
        let all = self.inner.references.all()?;
        for record in all.iter().filter(|record| !gone.contains(record)) {
            kept.extend(self.led_to(record)?);
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

    fn delete(&self, gone: Holdings, kept: &Holdings, trash: &Trash) -> Result<Removed> {
        let mut removed = Removed::default();
        for blob in gone.blobs.difference(&kept.blobs).filter(|blob| self.inner.blobs.has(**blob)) {
            removed.freed += self.inner.blobs.remove(trash, *blob)?;
            removed.deleted.push(*blob);
        }
        for layer in gone.layers.difference(&kept.layers).filter(|layer| self.has_layer(**layer)) {
            removed.freed += self.inner.layers.remove(trash, *layer)?;
            removed.deleted.push(*layer);
        }
        Ok(removed)
    }
}
