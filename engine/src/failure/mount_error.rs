//! Why something cannot be mounted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something cannot be mounted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MountError {
    /// A path of the host that does not exist.
    #[error("{path}, which it mounts, does not exist")]
    SourceMissing {
        /// Which.
        path: String,
    },
    /// A link that a container may have left leads out of the folder that the path lies in.
    #[error(
        "{left}, which containers write: mount the place itself by its absolute path, or remove the link"
    )]
    LeadsOut {
        /// Which link leads out of what.
        left: String,
    },
    /// A volume has no such folder.
    #[error("subpath `{subpath}` is not in the volume")]
    SubpathMissing {
        /// As it is asked for.
        subpath: String,
    },
    /// A folder of a volume is a way out of it.
    #[error("subpath `{subpath}` leads out of the volume: {left}")]
    SubpathLeadsOut {
        /// As it is asked for.
        subpath: String,
        /// Which link leads out of what.
        left: String,
    },
    /// A file system that does not answer.
    #[error(
        "{path}, which it mounts, did not answer within {seconds} s: is the server of its file system gone?"
    )]
    Silent {
        /// Which path.
        path: String,
        /// So long it was asked.
        seconds: u64,
    },
    /// The files of the revision have not arrived.
    #[error("the files for {target} are not here yet")]
    FilesAwaited {
        /// Where they are to be mounted.
        target: String,
    },
    /// The content of a config or secret has not arrived.
    #[error("the content of `{name}` is not here yet")]
    ContentAwaited {
        /// Its name.
        name: String,
    },
}

impl MountError {
    /// Whether it passes without anybody changing anything: what is awaited comes.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. } | Self::FilesAwaited { .. } | Self::ContentAwaited { .. }
        )
    }
}
