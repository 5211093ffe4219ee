//! An image that is on this node, whole.

use std::path::PathBuf;

use crate::config::ImageConfig;
use keel_names::Digest;
use keel_names::Reference;

/// Everything that is needed to run a container of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What its name stood for in the registry: the digest of an index for several platforms, or
    /// of one image's manifest. This is what to pin; it means the same on every node.
    pub digest: Digest,
    /// The digest of the manifest for this machine.
    pub manifest: Digest,
    /// The image's id: the digest of its configuration.
    pub id: Digest,
    /// What to run.
    pub config: ImageConfig,
    /// The root folders of its layers, bottom first; each once, as overlayfs demands.
    pub layers: Vec<PathBuf>,
    /// Bytes of all files in its layers.
    pub size: u64,
    /// When it was built.
    pub created: Option<jiff::Timestamp>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// The name.
    pub reference: Reference,
    /// See [`Image::digest`].
    pub digest: Digest,
    /// See [`Image::manifest`].
    pub manifest: Digest,
    /// See [`Image::id`].
    pub id: Digest,
    /// See [`Image::size`].
    pub size: u64,
    /// See [`Image::created`].
    pub created: Option<jiff::Timestamp>,
    /// When the name got its present meaning here.
    pub pulled_at: Option<jiff::Timestamp>,
}

impl ImageSummary {
    pub(crate) fn new(
        reference: Reference,
        image: Image,
        pulled_at: Option<jiff::Timestamp>,
    ) -> Self {
        let Image { digest, manifest, id, size, created, .. } = image;
        Self { reference, digest, manifest, id, size, created, pulled_at }
    }
}
