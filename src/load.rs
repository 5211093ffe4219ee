//! Stacks from files, read in the environment of whoever calls: the same way a source reads them.

use crate::args::Files;
use crate::context::Context;
use crate::env;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::machine::{config, environment};
use crate::root::{self, settled};
use crate::show::problem;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keel_embedded::Layout;
use keel_engine::{Content, StackName};
use keel_plan::desired::{Desired, Owner, Policy};
use keel_reconciler::ask::Submission;
use keel_reconciler::find::{COMPOSE_FILES, Found, stacks_at, stacks_below};
use keel_reconciler::load::{
    FolderFiles, LoadedStack, Reading, StackFiles, refuse_twins, warn_of_conflicts,
};
use keel_reconciler::work_tree::with_commit;
use keel_spec::Rendered;
use std::path::{Path, PathBuf};

/// Folders that an error names.
const NAMED: usize = 5;
/// The file name that stands for standard input.
const STDIN: &str = "-";

/// What somebody asks to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// A Compose file, or a folder; means nothing where files are named.
    pub path: PathBuf,
    /// Files, and how to read them.
    pub files: Files,
}

impl Asked {
    /// As it was written.
    pub fn shown(&self) -> String {
        let path = self.files.files.first().unwrap_or(&self.path);
        path.display().to_string()
    }

    /// Where there should be one stack.
    pub fn several(&self) -> Failure {
        Failure::usage(format!("`{}` holds several stacks", self.shown()))
            .hint("name the folder of one of them")
    }
}

/// Every stack that is asked for, loaded or refused.
pub fn stacks(context: &Context, asked: &Asked, policy: Policy) -> Result<Vec<LoadedStack>> {
    let mut stacks = all(context, &found(asked)?, &asked.files, policy);
    refuse_twins(&mut stacks);
    warn_of_conflicts(&mut stacks);
    Ok(stacks)
}

/// The same of those that were found, each judged by itself alone.
pub fn all(context: &Context, found: &[Found], asked: &Files, policy: Policy) -> Vec<LoadedStack> {
    load_all(found, &Reader { asked, policy, state: root::layout(&context.global.root) })
}

/// Loads all of them, on as many threads as there are processors: none needs another.
fn load_all(found: &[Found], reader: &Reader<'_>) -> Vec<LoadedStack> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 1 || found.len() < 2 {
        return found.iter().map(|found| reader.reading(found).load(found)).collect();
    }
    let share =
        |part: &[Found]| part.iter().map(|found| reader.reading(found).load(found)).collect();
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
pub fn found(asked: &Asked) -> Result<Vec<Found>> {
    let path = &asked.path;
    if let Some(found) = named(&asked.files)? {
        return Ok(vec![found]);
    }
    let found = stacks_at(&settled(path))
        .map_err(|error| Failure::caused(format!("cannot read `{}`", path.display()), &error))?;
    if found.is_empty() {
        let message = format!("no Compose file in `{}` or its subfolders", path.display());
        let elsewhere = stacks_below(&settled(path)).unwrap_or_default();
        let some: Vec<_> = elsewhere.iter().take(NAMED).map(|found| &*found.shown).collect();
        return Err(Failure::new(message).hint(match some.is_empty() {
            true => "write a `compose.yaml` there, or name its path".to_owned(),
            false => format!("there are some in {}: name one of these folders", some.join(", ")),
        }));
    }
    let mut found: Vec<_> = found.into_iter().map(|found| shown_as_written(found, path)).collect();
    if let Some(dir) = &asked.files.project_directory {
        found.iter_mut().for_each(|found| move_to(found, dir));
    }
    Ok(found)
}

/// The stack whose files are named: by `-f`, else by the variable that docker compose has for it.
fn named(files: &Files) -> Result<Option<Found>> {
    let Some(first) = files.files.first() else {
        let listed = env::get(env::COMPOSE_FILE).is_some();
        let here = || Found { dir: settled(Path::new(".")), files: vec![], shown: String::new() };
        return Ok(listed.then(here));
    };
    let paths: Vec<_> = files.files.iter().map(|file| place(file)).collect();
    let dir = match first == Path::new(STDIN) {
        true => settled(Path::new(".")),
        false => paths[0].parent().unwrap_or(Path::new("/")).to_owned(),
    };
    let mut found = shown_as_written(Found { dir, files: paths, shown: String::new() }, first);
    if let Some(dir) = &files.project_directory {
        move_to(&mut found, dir);
    }
    Ok(Some(found))
}

/// Where a named file is. What a link is called decides, not what it leads to: its folder is the
/// project's, as with docker compose.
fn place(file: &Path) -> PathBuf {
    if file == Path::new(STDIN) {
        return "/dev/stdin".into();
    }
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => settled(parent).join(name),
        _ => absolute,
    }
}

/// The same files, read as if they were in another folder.
fn move_to(found: &mut Found, dir: &Path) {
    if found.files.is_empty() {
        let names = COMPOSE_FILES.iter().map(|name| found.dir.join(name));
        found.files = names.filter(|path| path.is_file()).take(1).collect();
    }
    (found.dir, found.shown) = (settled(dir), String::new());
}

/// How stacks are read: in the environment of the caller, and as it asked.
struct Reader<'a> {
    asked: &'a Files,
    policy: Policy,
    state: Layout,
}

impl Reader<'_> {
    fn reading(&self, found: &Found) -> Reading {
        let asked = self.asked;
        let state = Some(self.state.root().to_owned());
        Reading {
            owner: Owner::Cli { path: found.dir.display().to_string() },
            files: StackFiles::Folder(FolderFiles::new(None, state)),
            revision: None,
            environment: with_commit(environment(), &found.dir),
            profiles: asked.profiles.clone(),
            name: asked.project_name.clone(),
            env_files: asked.env_files.iter().map(|file| settled(file)).collect(),
            home: env::get(env::HOME).map(Into::into),
            policy: self.policy.clone(),
            permits: None,
        }
    }
}

/// The same for whoever wants its model alone.
pub fn rendered(context: &Context, found: &Found, asked: &Files) -> Rendered {
    let (policy, state) = (Policy::default(), root::layout(&context.global.root));
    Reader { asked, policy, state }.reading(found).render(found)
}

/// People find a file by the path that they wrote, not by the one that it has.
fn shown_as_written(mut found: Found, path: &Path) -> Found {
    let written = match found.files.is_empty() {
        false => path.parent().unwrap_or(Path::new("")),
        true => path,
    };
    let written = written.strip_prefix(".").unwrap_or(written);
    found.shown = written.join(&found.shown).display().to_string();
    // Joining nothing leaves a slash at the end.
    found.shown.truncate(found.shown.trim_end_matches('/').len());
    found
}

/// The one stack that is asked for, ready to be handed over; all its problems are told.
pub fn one(context: &Context, asked: &Asked) -> Result<Submission> {
    let mut all = many(context, asked)?;
    match (all.pop(), all.as_slice()) {
        (Some(only), []) => Ok(only),
        (last, others) => {
            let names = others.iter().chain(last.as_ref()).map(|one| one.desired.stack.to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("`{}` holds several stacks: {names}", asked.shown()))
                .hint("name the folder of one of them"))
        }
    }
}

/// All stacks that are asked for, ready to be handed over; a refused one ends the command.
pub fn many(context: &Context, asked: &Asked) -> Result<Vec<Submission>> {
    let stacks = stacks(context, asked, config(context)?.policy)?;
    let mut ready = Vec::new();
    for stack in stacks {
        problem::tell(&context.screen, &stack.errors, &stack.warnings);
        ready.push(stack.lowered);
    }
    let ready: Option<Vec<_>> = ready.into_iter().collect();
    let ready = ready.ok_or(Failure::Said(Exit::Failed))?;
    Ok(ready.into_iter().map(|(desired, contents)| submission(desired, &contents)).collect())
}

/// What the stack in the current folder is called, where there is one; nothing is told. One that
/// is only below it is not meant.
pub fn name_here(context: &Context) -> Option<StackName> {
    let asked = Asked { path: ".".into(), files: context.files.clone() };
    match stacks(context, &asked, Policy::default()).ok()?.as_slice() {
        [stack] if stack.dir == settled(Path::new(".")) => stack.name.clone(),
        _ => None,
    }
}

/// The stack of the current folder, or of the files that were named, and whether it has a service of
/// this name; nothing is told.
pub fn service_here(context: &Context, files: &Files, service: &str) -> Option<StackName> {
    let asked = Asked { path: ".".into(), files: files.clone() };
    let stacks = stacks(context, &asked, Policy::default()).ok()?;
    let [one] = stacks.as_slice() else { return None };
    let here = !files.files.is_empty() || one.dir == settled(Path::new("."));
    let stack = one.stack.as_ref().filter(|_| here || files.project_directory.is_some())?;
    stack.services.contains_key(service).then(|| one.name.clone()).flatten()
}

/// What the stack that is asked for is called, as far as its files say so.
pub fn name(context: &Context, asked: &Asked) -> Result<StackName> {
    let stacks = stacks(context, asked, Policy::default())?;
    match stacks.as_slice() {
        [LoadedStack { name: Some(name), .. }] => Ok(name.clone()),
        [stack] => {
            problem::tell(&context.screen, &stack.errors, &[]);
            Err(Failure::new("its files do not say what the stack is called")
                .hint("name the stack instead of its path: `keel ps` lists them"))
        }
        several => {
            Err(Failure::usage(format!("`{}` holds {} stacks", asked.shown(), several.len()))
                .hint("name the folder of one of them, or the stack"))
        }
    }
}

fn submission(desired: Desired, contents: &[Content]) -> Submission {
    let encoded = contents.iter().map(|content| (content.digest, STANDARD.encode(&content.bytes)));
    Submission { desired, contents: encoded.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, shown: &str, file: bool) -> String {
        let found = Found {
            dir: "/srv".into(),
            files: file.then(|| "/srv/compose.yaml".into()).into_iter().collect(),
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
