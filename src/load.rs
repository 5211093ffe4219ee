//! Stacks from files, read in the environment of whoever calls: the same way a source reads them.

use crate::args::Files;
use crate::context::Context;
use crate::env;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::{config, environment};
use crate::root::settled;
use crate::show::problem;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keel_engine::{Content, StackName};
use keel_plan::desired::{Desired, Owner, Policy};
use keel_reconciler::ask::Submission;
use keel_reconciler::find::{Found, stacks_at};
use keel_reconciler::load::{LoadedStack, Reading, StackFiles, refuse_twins, warn_of_conflicts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every stack at a path, loaded or refused.
pub fn stacks(path: &Path, policy: Policy) -> Result<Vec<LoadedStack>> {
    asked(path, &Files::default(), policy)
}

/// As [`stacks`], with the files and profiles that somebody asked for.
pub fn asked(path: &Path, asked: &Files, policy: Policy) -> Result<Vec<LoadedStack>> {
    let mut stacks = load_all(&found(path, asked)?, asked, &policy);
    refuse_twins(&mut stacks);
    warn_of_conflicts(&mut stacks);
    Ok(stacks)
}

/// Loads all of them, on as many threads as there are processors: none needs another.
fn load_all(found: &[Found], asked: &Files, policy: &Policy) -> Vec<LoadedStack> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 1 || found.len() < 2 {
        return found.iter().map(|found| load(found, asked, policy)).collect();
    }
    let share = |part: &[Found]| part.iter().map(|found| load(found, asked, policy)).collect();
    std::thread::scope(|scope| {
        let parts = found.chunks(found.len().div_ceil(threads));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || share(part))).collect();
        let loaded = threads.into_iter().map(|thread| thread.join());
        let loaded = loaded.map(|part: std::thread::Result<Vec<_>>| {
            part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        loaded.flatten().collect()
    })
}

/// Where the stacks are: files that somebody names are one.
pub fn found(path: &Path, asked: &Files) -> Result<Vec<Found>> {
    if let Some(first) = asked.files.first() {
        let file = settled(first);
        let dir = file.parent().unwrap_or(Path::new("/")).to_owned();
        let found = Found { dir, file: Some(file), shown: String::new() };
        return Ok(vec![shown_as_written(found, first)]);
    }
    let found = stacks_at(&settled(path))
        .map_err(|error| Failure::caused(format!("cannot read `{}`", path.display()), &error))?;
    if found.is_empty() {
        let message = format!("no Compose file in `{}` or its subfolders", path.display());
        return Err(Failure::new(message).hint("write a `compose.yaml` there, or name its path"));
    }
    Ok(found.into_iter().map(|found| shown_as_written(found, path)).collect())
}

/// The variables that a stack is read with: those of the caller, and what it asked for by the
/// names that docker compose has for it.
pub fn variables(asked: &Files) -> BTreeMap<String, String> {
    let mut variables = environment();
    let joined = |files: &[PathBuf], separator: &str| {
        let files = files.iter().map(|file| settled(file).display().to_string());
        files.collect::<Vec<_>>().join(separator)
    };
    if asked.files.len() > 1 {
        variables.insert("COMPOSE_FILE".into(), joined(&asked.files, ":"));
        variables.insert("COMPOSE_PATH_SEPARATOR".into(), ":".into());
    }
    if !asked.env_files.is_empty() {
        variables.insert("COMPOSE_ENV_FILES".into(), joined(&asked.env_files, ","));
    }
    variables
}

fn load(found: &Found, asked: &Files, policy: &Policy) -> LoadedStack {
    // The first of several is named by the variable, like the others.
    let file = found.file.clone().filter(|_| asked.files.len() < 2);
    let found = Found { file, ..found.clone() };
    let reading = Reading {
        owner: Owner::Cli { path: found.dir.display().to_string() },
        files: StackFiles::Folder,
        revision: None,
        environment: variables(asked),
        profiles: asked.profiles.clone(),
        home: env::get(env::HOME).map(Into::into),
        policy: policy.clone(),
    };
    reading.load(&found)
}

/// People find a file by the path that they wrote, not by the one that it has.
fn shown_as_written(mut found: Found, path: &Path) -> Found {
    let written = match &found.file {
        Some(_) => path.parent().unwrap_or(Path::new("")),
        None => path,
    };
    let written = written.strip_prefix(".").unwrap_or(written);
    found.shown = written.join(&found.shown).display().to_string();
    // Joining nothing leaves a slash at the end.
    found.shown.truncate(found.shown.trim_end_matches('/').len());
    found
}

/// The one stack at a path, ready to be handed over; all its problems are told.
pub fn one(context: &Context, path: &Path) -> Result<Submission> {
    let mut all = many(context, path)?;
    match (all.pop(), all.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, others) => {
            let names = others.iter().chain(last.as_ref()).map(|one| one.desired.stack.to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("`{}` holds several stacks: {names}", path.display()))
                .hint("name the folder of one of them"))
        }
    }
}

/// All stacks at a path, ready to be handed over; a refused one ends the command.
pub fn many(context: &Context, path: &Path) -> Result<Vec<Submission>> {
    let stacks = stacks(path, config(context)?.policy)?;
    let mut ready = Vec::new();
    for stack in stacks {
        problem::tell(&context.screen, &stack.errors, &stack.warnings);
        ready.push(stack.lowered);
    }
    let ready: Option<Vec<_>> = ready.into_iter().collect();
    let ready = ready.ok_or(Failure::Said(Exit::Failed))?;
    Ok(ready.into_iter().map(|(desired, contents)| submission(desired, &contents)).collect())
}

/// What the stack at a path is called, as far as its files say so.
pub fn name(context: &Context, path: &Path) -> Result<StackName> {
    let stacks = stacks(path, Policy::default())?;
    match stacks.as_slice() {
        [LoadedStack { name: Some(name), .. }] => Ok(name.clone()),
        [stack] => {
            problem::tell(&context.screen, &stack.errors, &[]);
            Err(Failure::new("its files do not say what the stack is called")
                .hint("name the stack instead of its path: `keel ps` lists them"))
        }
        several => {
            Err(Failure::usage(format!("`{}` holds {} stacks", path.display(), several.len()))
                .hint("name the folder of one of them, or the stack"))
        }
    }
}

fn submission(desired: Desired, contents: &[Content]) -> Submission {
    let encoded =
        contents.iter().map(|content| (content.digest.clone(), STANDARD.encode(&content.bytes)));
    Submission { desired, contents: encoded.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, shown: &str, file: bool) -> String {
        let found = Found {
            dir: "/srv".into(),
            file: file.then(|| "/srv/compose.yaml".into()),
            shown: shown.into(),
        };
        shown_as_written(found, Path::new(path)).shown
    }

    #[test]
    fn files_are_shown_as_they_were_named() {
        assert_eq!(shown(".", "", false), "");
        assert_eq!(shown("stacks", "blog", false), "stacks/blog");
        assert_eq!(shown("./stacks/", "blog", false), "stacks/blog");
        assert_eq!(shown("/srv/blog", "", false), "/srv/blog");
        assert_eq!(shown("blog/compose.yaml", "", true), "blog");
        assert_eq!(shown("compose.yaml", "", true), "");
    }
}
