//! Why a layer cannot be unpacked.

use std::io;

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A name leads out of the layer.
    #[error("entry `{entry}` leads out of the layer")]
    Escapes {
        /// The entry's name.
        entry: String,
    },
    /// A hard link's target leads out of the layer.
    #[error("entry `{entry}` is a hard link to `{target}`, out of the layer")]
    LinkEscapes {
        /// The entry's name.
        entry: String,
        /// What it links to.
        target: String,
    },
    /// A hard link's target is not in the layer.
    #[error("entry `{entry}` is a hard link to `{target}`, which is not in the layer")]
    LinkMissing {
        /// The entry's name.
        entry: String,
        /// What it links to.
        target: String,
    },
    /// An entry of a kind that layers do not have.
    #[error("entry `{entry}` is of the unknown kind {kind:?}")]
    UnknownKind {
        /// The entry's name.
        entry: String,
        /// The letter in its header.
        kind: char,
    },
    /// There are too many entries.
    #[error("it has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// It is too large.
    #[error("it unpacks to more than {limit} bytes")]
    TooManyBytes {
        /// The limit.
        limit: u64,
    },
    /// The stream is no tar archive, or is broken.
    #[error("its stream is broken")]
    Stream(#[source] io::Error),
    /// The kernel refused something.
    #[error("cannot create entry `{entry}`")]
    Create {
        /// The entry's name.
        entry: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl UnpackError {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Escapes { .. } | Self::LinkEscapes { .. } => {
                Some("the image is malicious or was built by a broken tool: do not use it".into())
            }
            Self::Create { source, .. } if source.kind() == io::ErrorKind::StorageFull => Some(
                "the disk is full: `keel system df` says of what, `keel system prune` makes room"
                    .into(),
            ),
            Self::Create { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("unpacking needs root".into())
            }
            _ => None,
        }
    }
}
