//! The commit that a person's work tree is at: what `KEEL_COMMIT` means on their own machine.

use crate::source::interpolated;
use git2::Repository;
use std::collections::BTreeMap;
use std::path::Path;

/// These variables with those of the commit that the folder is checked out at, where it is one of a
/// work tree. Files that name them read as they would from Git; what the caller set wins.
#[must_use]
pub fn with_commit(environment: BTreeMap<String, String>, dir: &Path) -> BTreeMap<String, String> {
    let mut all = interpolated(&BTreeMap::new(), head(dir).as_deref());
    all.extend(environment);
    all
}

fn head(dir: &Path) -> Option<String> {
    // A tree of somebody else's, or one without a commit, has none for us.
    let repo = Repository::discover(dir).ok()?;
    let commit = repo.head().ok()?.peel_to_commit().ok()?;
    Some(commit.id().to_string())
}
