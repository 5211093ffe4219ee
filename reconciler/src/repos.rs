//! Repositories of our own: bare, below the root, pushed to over ssh or as a path. Each is a source
//! of its name.
//!
//! Git itself receives the push. Two hooks call us: before anything is taken, to look for mistakes
//! ([`check`]), and afterwards, to sync and to tell whoever pushed what became of it.

mod check;

use crate::config::{Follow, From, GitConfig, SourceConfig};
use git2::{Repository, RepositoryInitMode, RepositoryInitOptions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) use check::loaded;
pub use check::{Checked, Pushed, check};

/// Where they are, and what their hooks call.
#[derive(Debug, Clone, Default)]
pub struct Repos {
    /// `repos/` below the root.
    pub folder: PathBuf,
    /// The program and its first arguments, to which a hook appends `receive …`.
    pub program: Vec<String>,
    /// Whose members may push, beside root.
    pub group: Option<u32>,
}

/// Why one cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// It is there already.
    #[error("repository `{}` already exists", .0.display())]
    Exists(PathBuf),
    /// The name is none.
    #[error("`{0}` is not a valid source name: letters, digits, `-` and `_`")]
    Name(String),
    /// Git, or the file system, says no.
    #[error("cannot make the repository `{}`", path.display())]
    Make {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Repos {
    /// Where the one of this name is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.git"))
    }

    /// Makes one, whole or not at all.
    pub fn create(&self, name: &str, branch: &str, globs: &[String]) -> Result<PathBuf, RepoError> {
        if !crate::config::is_name(name) {
            return Err(RepoError::Name(name.to_owned()));
        }
        let (path, fresh) = (self.path(name), self.folder.join(format!(".{name}.new")));
        if path.exists() {
            return Err(RepoError::Exists(path));
        }
        let made = self
            .make(&fresh, name, branch, globs)
            .and_then(|()| Ok(std::fs::rename(&fresh, &path)?));
        match made {
            Ok(()) => Ok(path),
            Err(source) => {
                // The next try removes what is left.
                let _ = std::fs::remove_dir_all(&fresh);
                Err(RepoError::Make { path, source })
            }
        }
    }

    fn make(
        &self,
        at: &Path,
        name: &str,
        branch: &str,
        globs: &[String],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if at.exists() {
            std::fs::remove_dir_all(at)?;
        }
        std::fs::create_dir_all(at)?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head(branch).external_template(false);
        if self.group.is_some() {
            options.mode(RepositoryInitMode::SHARED_GROUP);
        }
        let mut config = Repository::init_opts(at, &options)?.config()?;
        config.set_str("keel.branch", branch)?;
        for glob in globs {
            config.set_multivar("keel.path", "^$", glob)?;
        }
        // Whoever pushes is told at once what is not taken.
        config.set_bool("receive.denyDeleteCurrent", true)?;
        // What is shared would refuse them, and what is root's alone would not.
        config.set_bool("receive.denyNonFastForwards", false)?;
        std::fs::create_dir_all(at.join("hooks"))?;
        for (hook, word) in [("pre-receive", "check"), ("post-receive", "sync")] {
            let file = at.join("hooks").join(hook);
            std::fs::write(&file, self.script(word, name))?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        }
        if let Some(group) = self.group {
            share(&self.folder, group)?;
            share_all(at, group)?;
        }
        Ok(())
    }

    fn script(&self, word: &str, name: &str) -> String {
        let quoted = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
        let program: Vec<_> = self.program.iter().map(quoted).collect();
        format!(
            "#!/bin/sh\n# Written by `keel source create`.\nexec {} receive {word} {name}\n",
            program.join(" ")
        )
    }

    /// The source that one is; `None` where there is none of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<SourceConfig> {
        let path = self.path(name);
        let config = Repository::open_bare(&path).ok()?.config().ok()?;
        let branch = config.get_string("keel.branch").unwrap_or_else(|_| "main".to_owned());
        let mut paths = Vec::new();
        // A repository without the key has no entries.
        let _ = config.multivar("keel.path", None).and_then(|entries| {
            entries.for_each(|entry| paths.extend(entry.value().ok().map(str::to_owned)))
        });
        if paths.is_empty() {
            paths.push(".".to_owned());
        }
        let follow = Follow::Branch(Some(branch));
        let config = GitConfig { follow, paths, ..GitConfig::new(path.display().to_string()) };
        Some(SourceConfig::new(name, From::Git(Box::new(config))))
    }

    /// Every one, as a source; by name.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceConfig> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> =
            names.filter_map(|name| name.strip_suffix(".git").map(str::to_owned)).collect();
        names.sort();
        names.iter().filter_map(|name| self.source(name)).collect()
    }
}

/// Members of the group may pass and write; what they make stays the group's.
fn share(path: &Path, group: u32) -> io::Result<()> {
    std::os::unix::fs::chown(path, None, Some(group))?;
    let mode = std::fs::metadata(path)?.permissions().mode();
    let more = if path.is_dir() { 0o2070 } else { 0o060 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777 | more))
}

fn share_all(path: &Path, group: u32) -> io::Result<()> {
    share(path, group)?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            share_all(&entry?.path(), group)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_source_and_its_hooks_call_us() {
        let root = tempfile::tempdir().unwrap();
        let repos = Repos {
            folder: root.path().join("repos"),
            program: vec!["/opt/it's/keel".into(), "--root".into(), "/r".into()],
            group: None,
        };
        assert_eq!(repos.sources(), []);
        let path = repos.create("home", "live", &["a/*".into(), "b".into()]).unwrap();
        let From::Git(config) = repos.sources().remove(0).from else { panic!("it is Git") };
        assert_eq!(config.url, path.display().to_string());
        assert_eq!(config.follow, Follow::Branch(Some("live".into())));
        assert_eq!(config.paths, ["a/*", "b"]);
        let hook = std::fs::read_to_string(path.join("hooks/pre-receive")).unwrap();
        assert!(
            hook.ends_with("exec '/opt/it'\\''s/keel' '--root' '/r' receive check home\n"),
            "{hook}"
        );
        assert!(matches!(repos.create("home", "main", &[]), Err(RepoError::Exists(_))));
        assert!(matches!(repos.create("../x", "main", &[]), Err(RepoError::Name(_))));
        assert_eq!(std::fs::read_dir(&repos.folder).unwrap().count(), 1);
    }
    #[test]
    fn who_shares_one_may_force_a_push_as_root_may() {
        let root = tempfile::tempdir().unwrap();
        let repos = Repos { folder: root.path().join("repos"), group: Some(0), ..Repos::default() };
        let path = repos.create("home", "main", &[]).unwrap();
        let config = Repository::open_bare(&path).unwrap().config().unwrap();
        assert!(!config.get_bool("receive.denyNonFastForwards").unwrap());
        assert!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o2070 == 0o2070);
    }
}
