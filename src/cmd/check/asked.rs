//! What `check` looks at: Compose files, folders, globs, or a source of `keel.yaml`.

use crate::args::Files;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::load::{self, Asked};
use crate::machine::{config, environment};
use crate::root::{self, settled};
use crate::subject;
use keel_plan::desired::Policy;
use keel_reconciler::config::{From, GitConfig, SourceConfig};
use keel_reconciler::find::{
    COMPOSE_FILES, Found, holding_stacks, is_glob, split_glob, stacks_at, stacks_below,
    stacks_matching_any,
};
use keel_reconciler::load::{LoadedStack, refuse_twins, warn_of_conflicts};
use keel_reconciler::work_tree::WorkTree;
use std::io;
use std::path::{Path, PathBuf};

/// Folders that an error names.
const NAMED: usize = 5;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// Compose files, folders, globs, or a source of keel.yaml; the current folder unless given
    #[arg(value_name = "PATH|SOURCE")]
    paths: Vec<PathBuf>,
    /// Glob of folders below PATH, as in a source; may be given several times
    #[arg(long = "path", value_name = "GLOB")]
    globs: Vec<String>,
    #[command(flatten)]
    files: Files,
}

/// Every stack that is asked for, each beside the others.
pub fn loaded(given: &Given, context: &Context) -> Result<Vec<LoadedStack>> {
    let files = given.files.clone().after(&context.files);
    if let (Some(path), false) = (given.paths.first(), files.files.is_empty()) {
        return Err(subject::named_twice(&path.display().to_string()));
    }
    let here = [PathBuf::from(".")];
    let paths = if given.paths.is_empty() { &here[..] } else { &given.paths };
    let mut stacks = Vec::new();
    for path in paths {
        let more = match source(path, given, context)? {
            Some(source) => of_source(&source, context)?,
            None => load::all(context, &found(path, given, &files)?, &files, Policy::default()),
        };
        stacks.extend(more);
    }
    stacks.sort_by(|one, other| one.dir.cmp(&other.dir));
    stacks.dedup_by(|one, other| one.dir == other.dir && one.name == other.name);
    refuse_twins(&mut stacks);
    warn_of_conflicts(&mut stacks);
    Ok(stacks)
}

/// Where the stacks of one argument are.
fn found(path: &Path, given: &Given, files: &Files) -> Result<Vec<Found>> {
    if !given.globs.is_empty() {
        return matching(path, &given.globs);
    }
    if is_glob(path) {
        let (base, pattern) = split_glob(&without_file(path));
        return matching(&base, &[pattern]);
    }
    // Of a repository's root, the stacks are further down.
    let plain = files.is_empty() && path.is_dir();
    if plain && stacks_at(path).is_ok_and(|found| found.is_empty()) {
        let below = stacks_below(&settled(path)).map_err(|error| unreadable(path, &error))?;
        if !below.is_empty() {
            return Ok(shown_from(path, below));
        }
    }
    load::found(&Asked { path: path.to_owned(), files: files.clone() })
}

fn matching(root: &Path, globs: &[String]) -> Result<Vec<Found>> {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let at = settled(root);
    let found = stacks_matching_any(&at, globs).map_err(|error| unreadable(root, &error))?;
    if !found.is_empty() {
        return Ok(shown_from(root, found));
    }
    let message = format!("no Compose file in `{}` of `{}`", globs.join(", "), root.display());
    let elsewhere = holding_stacks(&at).unwrap_or_default();
    let elsewhere: Vec<_> = elsewhere.into_iter().take(NAMED).collect();
    Err(match elsewhere.is_empty() {
        true => Failure::new(message),
        false => Failure::new(message).hint(format!("there are some in {}", elsewhere.join(", "))),
    })
}

/// `stacks/*/compose.yaml` means the folders.
fn without_file(path: &Path) -> PathBuf {
    let own = path.file_name().is_some_and(|name| COMPOSE_FILES.iter().any(|own| name == *own));
    path.parent().filter(|_| own).unwrap_or(path).to_owned()
}

fn shown_from(root: &Path, found: Vec<Found>) -> Vec<Found> {
    let root = root.strip_prefix(".").unwrap_or(root);
    let shown = |mut one: Found| {
        one.shown = root.join(&one.shown).display().to_string().trim_end_matches('/').to_owned();
        one
    };
    found.into_iter().map(shown).collect()
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::caused(format!("cannot read `{}`", path.display()), error)
}

/// The source of this name, where nothing here is called so.
fn source(path: &Path, given: &Given, context: &Context) -> Result<Option<SourceConfig>> {
    let name = path.to_string_lossy();
    if path.exists() || name.contains(['/', '.']) || is_glob(path) || !given.globs.is_empty() {
        return Ok(None);
    }
    let mut sources = config(context)?.sources;
    let at = sources.iter().position(|source| source.name == *name);
    if at.is_none() && !sources.is_empty() {
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Failure::new(format!("there is no file, folder or source `{name}`"))
            .hint(format!("keel.yaml names {}", names.join(", "))));
    }
    Ok(at.map(|at| sources.swap_remove(at)))
}

/// The stacks of a source, with its globs, variables and limits.
fn of_source(source: &SourceConfig, context: &Context) -> Result<Vec<LoadedStack>> {
    match &source.from {
        From::Git(git) => of_tree(source, git, context),
        From::Directory { path, globs, .. } => of_folder(source, path, globs, context),
    }
}

/// The files that are checked are those of the work tree, as they are.
fn of_tree(source: &SourceConfig, git: &GitConfig, context: &Context) -> Result<Vec<LoadedStack>> {
    let name = &source.name;
    let tree = WorkTree::around(&settled(Path::new(".")))
        .map_err(|error| Failure::caused("cannot read the work tree", &error))?;
    let tree = tree.ok_or_else(|| {
        Failure::new(format!("source {name} is a repository, and this is not a work tree of one"))
            .hint(format!("`keel plan {name} --revision BRANCH` looks at what is pushed"))
    })?;
    let layout = root::layout(&context.global.root);
    let data = git.data_dir.clone().unwrap_or_else(|| layout.root().join("data").join(name));
    let state = Some(layout.root().to_owned());
    let reading = source.reading(tree.root(), &data, state, tree.commit().as_deref());
    let found = matching(tree.root(), &git.paths)?;
    let relative = |one: Found| Found { shown: tree.below(&one.dir).unwrap_or_default(), ..one };
    Ok(found.into_iter().map(relative).map(|one| reading.load(&one)).collect())
}

fn of_folder(
    source: &SourceConfig,
    path: &Path,
    globs: &[String],
    context: &Context,
) -> Result<Vec<LoadedStack>> {
    let (root, found) = match path.is_file() {
        true => {
            let found = stacks_at(path).map_err(|error| unreadable(path, &error))?;
            (path.parent().unwrap_or(path), found)
        }
        false => (path, matching(path, globs)?),
    };
    let state = root::layout(&context.global.root).root().to_owned();
    let mut reading = source.reading(root, Path::new(""), Some(state), None);
    if source.allow.is_none() {
        let mut lent = environment();
        lent.append(&mut reading.environment);
        reading.environment = lent;
    }
    Ok(found.iter().map(|one| reading.load(one)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_may_name_the_files_themselves() {
        let folders = without_file(Path::new("stacks/*/compose.yaml"));
        assert_eq!(folders, Path::new("stacks/*"));
        assert_eq!(without_file(Path::new("stacks/*")), Path::new("stacks/*"));
        assert_eq!(split_glob(Path::new("/srv/s/*/x")), ("/srv/s".into(), "*/x".to_owned()));
        assert_eq!(split_glob(Path::new("*")), ("".into(), "*".to_owned()));
    }
}
