//! Immutable checkouts: `sources/NAME/checkouts/COMMIT/REPO`, whole or not there.
//!
//! The whole revision is checked out, not only the folders that hold stacks: they may name files
//! beside them (`../common.env`).

use super::SourceError;
use super::git::disk;
use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Checkouts that are kept beside those in use, newest first.
const KEPT: usize = 3;

/// The root of the commit's files; made where it is missing.
pub(crate) fn ensure(
    repo: &Repository,
    commit: Oid,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, SourceError> {
    let whole = folder.join("checkouts").join(commit.to_string());
    let root = whole.join(name);
    if root.is_dir() {
        return Ok(root);
    }
    let failed = |source| disk(format!("check out `{}`", whole.display()), source);
    let fresh = folder.join("checkouts").join(format!(".{commit}.new"));
    let made = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for leftover in [&fresh, &whole] {
            if leftover.exists() {
                fs::remove_dir_all(leftover)?;
            }
        }
        fs::create_dir_all(fresh.join(name))?;
        write_tree(repo, commit, &fresh.join(name))?;
        sync_below(&fresh)?;
        fs::rename(&fresh, &whole)?;
        Ok(File::open(folder.join("checkouts"))?.sync_all()?)
    };
    made().map_err(failed)?;
    Ok(root)
}

fn write_tree(repo: &Repository, commit: Oid, target: &Path) -> Result<(), git2::Error> {
    let tree = repo.find_commit(commit)?.tree()?;
    let mut options = CheckoutBuilder::new();
    options.target_dir(target).force().update_index(false).disable_filters(true).dir_perm(0o755);
    repo.checkout_tree(tree.as_object(), Some(&mut options))
}

fn sync_below(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_below(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(dir)?.sync_all()
}

/// Removes old checkouts, but for the last few and those that are in use.
pub(crate) fn prune(folder: &Path, in_use: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder.join("checkouts"))? {
        let entry = entry?;
        let made = entry.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        all.push((made, entry.path()));
    }
    all.sort();
    let old = all.len().saturating_sub(KEPT);
    for (_, path) in all.drain(..old) {
        if !in_use(&path) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_and_those_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let checkouts = folder.path().join("checkouts");
        for (age, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
            fs::create_dir_all(checkouts.join(name)).unwrap();
            let made = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
            File::open(checkouts.join(name)).unwrap().set_modified(made).unwrap();
        }
        prune(folder.path(), &|path| path.ends_with("a")).unwrap();
        let left = |name: &&str| checkouts.join(name).exists();
        let left: Vec<_> = ["a", "b", "c", "d", "e"].iter().filter(|name| left(name)).collect();
        assert_eq!(left, [&"a", &"c", &"d", &"e"]);
    }
}
