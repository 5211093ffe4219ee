//! What a pull reports while it goes on. For people: nothing depends on it.

use keel_names::Digest;

/// One thing that happened in a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The registry told which content the name stands for.
    Resolved {
        /// What to pin, see [`Image::digest`](crate::Image::digest).
        digest: Digest,
        /// How many layers the image has.
        layers: usize,
    },
    /// A layer got further.
    Layer {
        /// The layer's blob.
        layer: Digest,
        /// How far it is.
        step: LayerStep,
    },
}

/// How far a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerStep {
    /// It was here before.
    Exists,
    /// So many bytes of it came.
    Downloading {
        /// Bytes that came.
        done: u64,
        /// All that will.
        total: u64,
    },
    /// The connection broke; it goes on from where it was.
    Retrying {
        /// What happened.
        reason: String,
    },
    /// All came; what is left is to write it to disk.
    Unpacking,
    /// It is on disk, checked.
    Done,
}

/// Where progress is reported to.
pub type Report<'a> = &'a (dyn Fn(Progress) + Send + Sync);
