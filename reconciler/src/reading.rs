//! How a source's stacks are read, by its configuration.

use crate::config::{From, SourceConfig};
use crate::load::Reading;
use crate::stack_files::{FolderFiles, StackFiles};
use keel_plan::desired::{Owner, Policy};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl SourceConfig {
    /// How its stacks are read from files of its repository, or from its folder, that are here:
    /// `data` is where it finds what Git lacks, `state` Evenkeel's own root.
    #[must_use]
    pub fn reading(
        &self,
        root: &Path,
        data: &Path,
        state: Option<PathBuf>,
        commit: Option<&str>,
    ) -> Reading {
        let (location, files) = match &self.from {
            From::Git(config) => {
                let (root, data) = (root.to_owned(), data.to_owned());
                let submodules = Arc::default();
                (config.url.clone(), StackFiles::Checkout { root, data, state, submodules })
            }
            From::Directory { path, .. } => {
                let files = FolderFiles::new(Some(root.to_owned()), state);
                (path.display().to_string(), StackFiles::Folder(files))
            }
        };
        Reading {
            owner: Owner::Source { name: self.name.clone(), location },
            files,
            revision: commit.map(str::to_owned),
            environment: interpolated(&self.env, commit),
            profiles: vec![],
            name: None,
            env_files: vec![],
            home: None,
            policy: Policy::default(),
            permits: self.permits(root),
        }
    }
}

/// What may be interpolated: of a Git source also its commit.
pub(crate) fn interpolated(
    environment: &BTreeMap<String, String>,
    commit: Option<&str>,
) -> BTreeMap<String, String> {
    let mut environment = environment.clone();
    if let Some(commit) = commit {
        environment.insert("KEEL_COMMIT".to_owned(), commit.to_owned());
        let short = keel_engine::short(commit).to_owned();
        environment.insert("KEEL_SHORT_COMMIT".to_owned(), short);
    }
    environment
}
