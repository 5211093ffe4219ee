//! Whether a commit that is being pushed may be taken: as its source would load it.

use super::RepoError;
use crate::config::{Follow, From, SourceConfig};
use crate::find::{holding_stacks, stacks_in_checkout};
use crate::load::{LoadedStack, refuse_twins};
use crate::source::checkout::{self, Target};
use git2::{Oid, Repository};
use keel_spec::{Code, Problem};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One reference of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `refs/heads/main`.
    pub reference: String,
    /// What it shall be; `None`: it shall go.
    pub commit: Option<String>,
}

impl Pushed {
    /// A line that Git hands to a hook: the old commit, the new one, the reference.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let mut words = line.trim().splitn(3, ' ');
        let (_, new, reference) = (words.next()?, words.next()?, words.next()?);
        let gone = new.bytes().all(|b| b == b'0');
        Some(Self { reference: reference.to_owned(), commit: (!gone).then(|| new.to_owned()) })
    }

    /// Whether it is what the source follows.
    #[must_use]
    pub fn is_followed_by(&self, source: &SourceConfig) -> bool {
        let From::Git(config) = &source.from else { return false };
        let Follow::Branch(Some(branch)) = &config.follow else { return false };
        self.reference.strip_prefix("refs/heads/") == Some(branch)
    }
}

/// What is to be told of a commit; ready to print.
#[derive(Debug, Default)]
pub struct Checked {
    /// Why it is not taken.
    pub errors: Vec<String>,
    /// What hurts.
    pub warnings: Vec<String>,
    /// How many stacks it has.
    pub stacks: usize,
}

/// Goes with whoever looked.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Looks at a commit of a repository. `quarantine` is where Git keeps what it has not taken yet;
/// `data` is where the source finds what Git lacks.
pub fn check(
    repo: &Path,
    quarantine: Option<&Path>,
    commit: &str,
    source: &SourceConfig,
    data: &Path,
) -> Result<Checked, RepoError> {
    let From::Git(config) = &source.from else { return Ok(Checked::default()) };
    let (stacks, elsewhere) = loaded(repo, quarantine, commit, source, data)?;
    let mut checked = Checked { stacks: stacks.len(), ..Checked::default() };
    for stack in stacks {
        let (errors, later) = judged(stack.errors, &stack.problems, &stack.wants);
        checked.errors.extend(errors);
        checked.warnings.extend(later.into_iter().chain(stack.warnings));
    }
    if checked.stacks == 0 {
        checked.warnings.push(nothing(&config.paths, &elsewhere));
    }
    Ok(checked)
}

/// Of the errors of a stack, those that refuse a push: what is in submodules is not looked at before
/// they are fetched, which is the controller's affair. With what is told of that.
fn judged(
    errors: Vec<String>,
    problems: &[Problem],
    wants: &BTreeSet<PathBuf>,
) -> (Vec<String>, Option<String>) {
    if wants.is_empty() {
        return (errors, None);
    }
    let awaits = |problem: &&Problem| {
        matches!(problem.code, Code::NotFetched | Code::Unreadable | Code::EnvFile)
    };
    let each = problems.iter().filter(|problem| problem.is_error()).zip(errors);
    let errors = each.filter(|(problem, _)| !awaits(problem)).map(|(_, printed)| printed);
    let named: Vec<_> = wants.iter().map(|path| path.display().to_string()).collect();
    let later = format!(
        "warning: the submodules {} are fetched, and what is in them is looked at, afterwards\n",
        named.join(", ")
    );
    (errors.collect(), Some(later))
}

/// The stacks of a commit; where there are none, the folders that hold some all the same.
pub(crate) fn loaded(
    repo: &Path,
    quarantine: Option<&Path>,
    commit: &str,
    source: &SourceConfig,
    data: &Path,
) -> Result<(Vec<LoadedStack>, Vec<String>), RepoError> {
    let failed = |source| RepoError::Make { path: repo.to_owned(), source };
    let From::Git(config) = &source.from else { return Ok(Default::default()) };
    let scratch = Scratch(repo.join(format!("keel-check-{}", std::process::id())));
    let root = scratch.0.join(&source.name);
    let export = || {
        if scratch.0.exists() {
            // Of one that was killed, and had our number.
            std::fs::remove_dir_all(&scratch.0)?;
        }
        let opened = Repository::open_bare(repo)?;
        if let Some(quarantine) = quarantine.and_then(Path::to_str) {
            opened.odb()?.add_disk_alternate(quarantine)?;
        }
        checkout::export(&opened, Target::Commit(Oid::from_str(commit)?), &root)
    };
    export().map_err(failed)?;
    let found = stacks_in_checkout(&root, &config.paths).map_err(|error| failed(error.into()))?;
    let reading = source.reading(&root, data, state(repo), Some(commit));
    let mut stacks: Vec<_> = found.iter().map(|found| reading.load(found)).collect();
    refuse_twins(&mut stacks);
    let elsewhere = if stacks.is_empty() { holding_stacks(&root).ok() } else { None };
    Ok((stacks, elsewhere.unwrap_or_default()))
}

/// The root that `repos/NAME.git` is below.
fn state(repo: &Path) -> Option<PathBuf> {
    repo.ancestors().nth(2).map(Path::to_owned)
}

fn nothing(globs: &[String], elsewhere: &[String]) -> String {
    let elsewhere = match elsewhere {
        [] => String::new(),
        some => format!("; there are some in {}", some.join(", ")),
    };
    format!("warning: no Compose file in `{}` or the folders in it{elsewhere}\n", globs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hooks_lines_name_what_is_followed() {
        let (one, zero) = ("1".repeat(40), "0".repeat(40));
        let config = crate::config::GitConfig {
            follow: Follow::Branch(Some("main".into())),
            ..crate::config::GitConfig::new("/r")
        };
        let source = SourceConfig::new("home", From::Git(Box::new(config)));
        let cases = [
            (format!("{zero} {one} refs/heads/main\n"), Some((true, true))),
            (format!("{one} {zero} refs/heads/main"), Some((false, true))),
            (format!("{zero} {one} refs/heads/main2"), Some((true, false))),
            (format!("{zero} {one} refs/tags/main"), Some((true, false))),
            ("nonsense".to_owned(), None),
        ];
        for (line, expected) in cases {
            let pushed = Pushed::of_line(&line);
            let seen = pushed.map(|one| (one.commit.is_some(), one.is_followed_by(&source)));
            assert_eq!(seen, expected, "{line}");
        }
    }
}
