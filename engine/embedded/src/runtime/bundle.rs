//! From what a task is asked to be to the OCI runtime specification of its runs. Pure.

use keel_engine::TaskSpec;
use oci_spec::runtime::Spec;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the image's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// ENV, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// USER.
    pub user: Option<String>,
    /// WORKDIR.
    pub working_dir: Option<String>,
    /// VOLUME.
    pub volumes: Vec<String>,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
}

/// A mount whose source on the host is known: a volume's folder, a bind, a revision's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// Absolute path on the host; it exists.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// `rprivate` (unset), `rshared`, `rslave`, ….
    pub propagation: Option<String>,
}

/// What the host is like, as far as a specification depends on it.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {}

/// A specification, and what of the wish this host cannot grant.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What is stored as `config.json`.
    pub spec: Spec,
    /// Lines for people.
    pub warnings: Vec<String>,
}

/// Why a task has no specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Neither the task nor the image names a program.
    #[error("no command: neither the service nor its image names one")]
    NoCommand,
}

/// The specification of a task's runs.
pub fn bundle(
    _task: &TaskSpec,
    _image: &ImageFacts,
    _host: &HostFacts,
) -> Result<Bundle, BundleError> {
    Err(BundleError::NoCommand)
}
