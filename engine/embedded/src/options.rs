//! What the engine is told when it is opened.

use crate::RootLease;
use keel_engine::NodeName;
use std::path::PathBuf;

/// How to open an [`crate::Embedded`].
#[derive(Debug, Clone)]
pub struct Options {
    /// This node's name.
    pub node: NodeName,
    /// The `keel` executable: shims, `keel net` and `keel enter` are started from it, and
    /// `keel.local/hello` is made of it.
    pub executable: PathBuf,
    /// Mirrors, and registries without TLS.
    pub registries: keel_images::RegistryConfig,
    /// `config.json` with the registries' credentials.
    pub credentials: PathBuf,
    /// Docker's socket, if another engine on this host shall be asked what it runs.
    pub docker: Option<PathBuf>,
    /// Carry wishes out. Only for the holder of the [`crate::RootLock`]; without it the engine
    /// observes, and refuses wishes.
    pub drive: bool,
    /// To be carried out in turns of this; without it the lock is held for as long as the engine
    /// is open.
    pub lease: Option<RootLease>,
}

impl Options {
    /// The usual ones, for a node of this name.
    #[must_use]
    pub fn new(node: NodeName, executable: impl Into<PathBuf>) -> Self {
        Self {
            node,
            executable: executable.into(),
            registries: keel_images::RegistryConfig::default(),
            credentials: "/root/.docker/config.json".into(),
            docker: Some("/var/run/docker.sock".into()),
            drive: true,
            lease: None,
        }
    }
}
