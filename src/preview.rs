//! A preview: what a push of a work tree, or another revision of a source, would do there. The tree is
//! put together here, where it is; the controller loads it as its source would.

use crate::context::Context;
use crate::env;
use crate::failure::{Failure, Result};
use crate::load::Asked;
use crate::root::settled;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keel_api::Client;
use keel_engine::{StackName, short};
use keel_reconciler::ask::{PlanReport, PreviewRow};
use keel_reconciler::find::{COMPOSE_FILES, holds_stack};
use keel_reconciler::preview::{
    PreviewAnswer, PreviewAsk, PreviewOf, ServedSource, is_pushed_over_ssh_to, is_remote_of,
};
use keel_reconciler::work_tree::{Packed, WorkTree, WorkTreeError};
use std::path::{Path, PathBuf};

/// What narrows a preview down.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Wish {
    /// Show what this branch, tag or commit of the source would do
    #[arg(long, value_name = "BRANCH|TAG|COMMIT")]
    pub revision: Option<String>,
    /// Source to preview for, if the work tree does not tell
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
}

impl Wish {
    /// Whether nothing but a preview will do.
    pub fn is_firm(&self) -> bool {
        self.revision.is_some() || self.source.is_some()
    }
}

/// What one source would do.
pub struct Preview {
    /// What it is of.
    pub row: PreviewRow,
    /// What came of it.
    pub answer: PreviewAnswer,
}

/// Of a stack, or of all of a source, that is named.
pub async fn of_stack(client: &Client, stack: &StackName, wish: &Wish) -> Result<Vec<Preview>> {
    let Some(revision) = &wish.revision else {
        return Err(Failure::usage("`--source` is for a path")
            .hint("a stack's own source is known; `--revision` names another revision of it"));
    };
    let ask = PreviewAsk {
        source: wish.source.clone(),
        of: PreviewOf::Revision(revision.clone()),
        below: String::new(),
        stack: Some(stack.clone()),
    };
    let answer = client.preview(&ask).await?;
    if answer.stacks.is_empty() && answer.errors.is_empty() {
        let at = short(&answer.revision);
        return Err(Failure::new(format!(
            "revision {at} of source {} has no stack {stack}",
            answer.source
        )));
    }
    Ok(vec![of_revision(revision, answer)])
}

/// Of a path; nothing where it is of no source.
pub async fn of_path(
    context: &Context,
    client: &Client,
    asked: &Asked,
    wish: &Wish,
) -> Result<Vec<Preview>> {
    let folder = folder_of(&asked.path).filter(|_| is_plain(asked));
    let Some(folder) = folder else { return nowhere(wish, "files that are named have no source") };
    let served = client.served_sources().await?;
    let of_folder: Vec<_> = served.iter().filter(|one| is_folder_around(one, &folder)).collect();
    let tree = match (of_folder.is_empty(), WorkTree::around(existing(&folder))) {
        (false, _) => None,
        (true, Ok(tree)) => tree,
        (true, Err(error)) if served.is_empty() && !wish.is_firm() => {
            // Nothing hangs on it.
            let _ = error;
            None
        }
        (true, Err(error)) => return Err(refused(&error)),
    };
    let meant = match &wish.source {
        Some(name) => vec![named(&served, name)?],
        None if !of_folder.is_empty() => of_folder,
        None => tree.as_ref().map(|tree| of_tree(&served, tree)).unwrap_or_default(),
    };
    if meant.is_empty() {
        return nowhere(wish, &format!("`{}` is in the work tree of no source", asked.shown()));
    }
    let mut previews = Vec::new();
    for source in meant {
        let preview = match (&wish.revision, &tree) {
            (Some(revision), _) => {
                at_revision(client, source, revision, &folder, tree.as_ref()).await?
            }
            (None, _) if source.folder => as_it_is(client, source, &folder).await?,
            (None, Some(tree)) => pushed(client, source, tree, &folder).await?,
            (None, None) => {
                return nowhere(wish, &format!("`{}` is in no work tree", asked.shown()));
            }
        };
        let answer = &preview.answer;
        if !answer.stacks.is_empty() || !answer.errors.is_empty() || wish.is_firm() {
            previews.push(preview);
        } else if holds_stack(&folder) {
            context.screen.say(&format!(
                "source {} does not deploy this folder (its stacks are in {}): planned as `keel up` would",
                source.name,
                source.paths.join(", ")
            ));
        }
    }
    Ok(previews)
}

/// Whether a path is all that was asked for: what else can be said of files, Git does not say.
fn is_plain(asked: &Asked) -> bool {
    asked.files.is_empty() && env::get(env::COMPOSE_FILE).is_none()
}

/// The folder of a stack that a path names.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let path = settled(path);
    if !path.is_file() {
        return Some(path);
    }
    let own = path.file_name().is_some_and(|name| COMPOSE_FILES.iter().any(|own| name == *own));
    path.parent().filter(|_| own).map(Path::to_owned)
}

/// The folder itself, or what is left of the way to it: a stack that the tree removes has none.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|above| above.exists()).unwrap_or(folder)
}

fn nowhere(wish: &Wish, why: &str) -> Result<Vec<Preview>> {
    match wish.is_firm() {
        false => Ok(vec![]),
        true => Err(Failure::new(why.to_owned()).hint(
            "`--source NAME` names the source; `keel plan STACK --revision …` needs no files",
        )),
    }
}

fn named<'a>(served: &'a [ServedSource], name: &str) -> Result<&'a ServedSource> {
    let found = served.iter().find(|source| source.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = served.iter().map(|source| source.name.as_str()).collect();
        let failure = Failure::new(format!("no such source: {name}"));
        match names.as_slice() {
            [] => failure.hint("`keel serve` is not running, and keel.yaml names no source"),
            names => failure.hint(format!("the sources are: {}", names.join(", "))),
        }
    })
}

fn is_folder_around(source: &ServedSource, folder: &Path) -> bool {
    let home = settled(Path::new(&source.location));
    let home = if home.is_file() { home.parent().unwrap_or(&home).to_owned() } else { home };
    source.folder && folder.starts_with(home)
}

/// The sources that a work tree is of: those of its remotes, else those whose commit it holds; of
/// several, those that follow its branch.
fn of_tree<'a>(served: &'a [ServedSource], tree: &WorkTree) -> Vec<&'a ServedSource> {
    let remotes = tree.remotes();
    let all = || served.iter().filter(|source| !source.folder);
    let tests: [&dyn Fn(&ServedSource) -> bool; 3] = [
        &|source| is_remote_of(source, &remotes),
        &|source| is_pushed_over_ssh_to(source, &remotes),
        &|source| tree.holds(&source.revision),
    ];
    let found = tests.iter().map(|test| all().filter(|source| test(source)).collect::<Vec<_>>());
    let mut found = found.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    let branch = tree.branch();
    let follows = |source: &&ServedSource| source.branch.is_some() && source.branch == branch;
    if found.iter().any(follows) {
        found.retain(follows);
    }
    found
}

/// What a push of a work tree would do.
async fn pushed(
    client: &Client,
    source: &ServedSource,
    tree: &WorkTree,
    folder: &Path,
) -> Result<Preview> {
    let packed = tree.packed(&source.revision).map_err(|error| refused(&error))?;
    let commit = tree.commit().unwrap_or_default();
    let of = PreviewOf::Tree {
        // Before the first commit, what there is has no other name.
        commit: if commit.is_empty() { packed.tree.clone() } else { commit.clone() },
        tree: packed.tree.clone(),
        pack: STANDARD.encode(&packed.pack),
    };
    let below = tree.below(folder).unwrap_or_default();
    let answer = client.preview(&ask(source, of, below)).await?;
    let mut lines = vec![pushed_line(source, tree, &packed)];
    lines.extend(source.fixed.as_ref().map(|fixed| {
        format!("source {} follows {fixed}: a push alone changes nothing", source.name)
    }));
    lines.extend(is_behind(source, tree).then(|| {
        let at = short(&source.revision);
        format!(
            "source {} is at {at}, which this tree does not contain: a push needs a merge first",
            source.name
        )
    }));
    let ignored = packed
        .ignored
        .iter()
        .filter(|path| answer.errors.iter().any(|error| error.contains(path.as_str())));
    lines.extend(
        ignored.map(|path| format!("`{path}` is ignored by Git: a push does not bring it")),
    );
    lines.extend(answer.notes.iter().cloned());
    let row = PreviewRow {
        source: source.name.clone(),
        branch: tree.branch().unwrap_or_default(),
        commit,
        uncommitted: packed.uncommitted,
        lines,
    };
    Ok(Preview { row, answer })
}

fn pushed_line(source: &ServedSource, tree: &WorkTree, packed: &Packed) -> String {
    let at = match (tree.branch(), tree.commit()) {
        (Some(branch), Some(commit)) => format!("branch {branch} at {}", short(&commit)),
        (Some(branch), None) => format!("branch {branch}, which has no commit yet,"),
        (None, Some(commit)) => format!("commit {}", short(&commit)),
        (None, None) => "no commit yet".to_owned(),
    };
    let more = match packed.uncommitted {
        0 => String::new(),
        1 => " with 1 uncommitted file".to_owned(),
        many => format!(" with {many} uncommitted files"),
    };
    let elsewhere = source.branch.as_ref().filter(|branch| tree.branch().as_ref() != Some(branch));
    let elsewhere = elsewhere.map(|branch| format!(", as if it were pushed to {branch}"));
    let elsewhere = elsewhere.unwrap_or_default();
    format!("preview of a push to source {}: {at}{more}{elsewhere}", source.name)
}

fn is_behind(source: &ServedSource, tree: &WorkTree) -> bool {
    !source.revision.is_empty() && !tree.contains(&source.revision)
}

async fn at_revision(
    client: &Client,
    source: &ServedSource,
    revision: &str,
    folder: &Path,
    tree: Option<&WorkTree>,
) -> Result<Preview> {
    let below = tree.and_then(|tree| tree.below(folder)).unwrap_or_default();
    let of = PreviewOf::Revision(revision.to_owned());
    let answer = client.preview(&ask(source, of, below)).await?;
    Ok(of_revision(revision, answer))
}

fn of_revision(revision: &str, answer: PreviewAnswer) -> Preview {
    let (commit, source) = (answer.revision.clone(), answer.source.clone());
    let at = match commit.starts_with(&revision.to_ascii_lowercase()) {
        true => short(&commit).to_owned(),
        false => format!("{revision} ({})", short(&commit)),
    };
    let now = match &*answer.present {
        "" => String::new(),
        now if now == commit => ", which it is at now".to_owned(),
        now => format!("; it is at {} now", short(now)),
    };
    let mut lines = vec![format!("preview of source {source} at {at}{now}")];
    lines.extend(answer.notes.iter().cloned());
    let row = PreviewRow { source, branch: revision.to_owned(), commit, uncommitted: 0, lines };
    Preview { row, answer }
}

async fn as_it_is(client: &Client, source: &ServedSource, folder: &Path) -> Result<Preview> {
    let home = settled(Path::new(&source.location));
    let below = folder.strip_prefix(&home).map(|below| below.to_string_lossy().into_owned());
    let answer = client.preview(&ask(source, PreviewOf::Folder, below.unwrap_or_default())).await?;
    let mut lines =
        vec![format!("preview of source {}: the folder {} as it is", source.name, source.location)];
    lines.extend(answer.notes.iter().cloned());
    let (source, branch, commit) = (source.name.clone(), String::new(), String::new());
    Ok(Preview { row: PreviewRow { source, branch, commit, uncommitted: 0, lines }, answer })
}

fn ask(source: &ServedSource, of: PreviewOf, below: String) -> PreviewAsk {
    PreviewAsk { source: Some(source.name.clone()), of, below, stack: None }
}

fn refused(error: &WorkTreeError) -> Failure {
    let failure = Failure::caused("cannot preview a push", error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// All of them as one plan, with the errors of what is refused.
pub fn report(previews: Vec<Preview>) -> (PlanReport, Vec<String>) {
    let (mut stacks, mut rows, mut errors) = (vec![], vec![], vec![]);
    for Preview { row, answer } in previews {
        rows.push(row);
        stacks.extend(answer.stacks.into_iter().map(|stack| stack.plan));
        errors.extend(answer.errors);
    }
    (PlanReport { version: 1, stacks, previews: rows }, errors)
}
