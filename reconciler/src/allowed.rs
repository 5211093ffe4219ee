//! Whether the stacks that are there now keep to what their source allows, before anybody serves it.

use crate::config::{From, SourceConfig};
use crate::find::{stacks_at, stacks_matching_any};
use crate::load::{FolderFiles, LoadedStack, Reading, StackFiles};
use crate::repos::{Repos, loaded};
use git2::Repository;
use keel_plan::desired::{Owner, Policy};
use keel_spec::Code;
use std::path::Path;

/// What stacks of this source have and may not have, ready to print. Those of a repository elsewhere
/// are looked at when they are fetched.
#[must_use]
pub fn not_allowed(source: &SourceConfig, repos: &Repos, state: &Path) -> Vec<String> {
    if source.allow.is_none() {
        return Vec::new();
    }
    let stacks = match &source.from {
        From::Directory { path, globs, .. } => of_folder(source, path, globs, state),
        From::Git(git) if Path::new(&git.url) == repos.path(&source.name) => {
            of_own(source, Path::new(&git.url), state)
        }
        From::Git(_) => Vec::new(),
    };
    let printed = |stack: &LoadedStack| -> Vec<String> {
        let texts = &stack.texts;
        let refused = stack.problems.iter().filter(|problem| problem.code == Code::NotAllowed);
        refused.map(|problem| keel_spec::problem::render(problem, texts)).collect()
    };
    stacks.iter().flat_map(printed).collect()
}

/// A folder that cannot be read is told elsewhere.
fn of_folder(
    source: &SourceConfig,
    path: &Path,
    globs: &[String],
    state: &Path,
) -> Vec<LoadedStack> {
    let found = match path.is_file() {
        true => stacks_at(path),
        false => stacks_matching_any(path, globs),
    };
    let served = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let files = FolderFiles::new(Some(served.to_owned()), Some(state.to_owned()));
    let reading = Reading {
        owner: Owner::Source { name: source.name.clone(), location: path.display().to_string() },
        files: StackFiles::Folder(files),
        revision: None,
        environment: source.env.clone(),
        profiles: vec![],
        name: None,
        env_files: vec![],
        home: None,
        policy: Policy::default(),
        permits: source.permits(served),
    };
    found.unwrap_or_default().iter().map(|found| reading.load(found)).collect()
}

/// One that nobody has pushed to yet has none.
fn of_own(source: &SourceConfig, path: &Path, state: &Path) -> Vec<LoadedStack> {
    let head = || Repository::open_bare(path).ok()?.head().ok()?.target();
    let data = match &source.from {
        From::Git(git) => git.data_dir.clone(),
        From::Directory { .. } => None,
    };
    let data = data.unwrap_or_else(|| state.join("data").join(&source.name));
    let look = |commit: git2::Oid| loaded(path, None, &commit.to_string(), source, &data).ok();
    head().and_then(look).map(|(stacks, _)| stacks).unwrap_or_default()
}
