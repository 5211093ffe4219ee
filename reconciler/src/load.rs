//! From a folder to what is desired: find, load, lower. A bad file refuses only its stack.
//!
//! # Invariants
//! - Whoever loads (a source, a command line) gets the same answer for the same files and
//!   environment.
//! - A stack with an error has no desired state; its problems are printed in full.

use crate::ask::{Submission, WarningRow};
use crate::find::Found;
use crate::lookups::{Asked, ReadSet};
use base64::Engine as _;
use keel_engine::{Content, Digest, StackName, digest_of};
use keel_plan::desired::{Desired, Owner, Policy};
use keel_plan::lower::{self, Context, Lack, lower};
use keel_spec::{Code, Permission, Permits, Problem, Project, Rendered, Severity, Texts};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use crate::stack_files::{FolderFiles, StackFiles};

/// How stacks are read.
pub struct Reading {
    /// Who decides about them.
    pub owner: Owner,
    /// Where their files are.
    pub files: StackFiles,
    /// The commit; `None`: each stack's revision is the digest of what was read.
    pub revision: Option<String>,
    /// Variables that may be interpolated beside `.env`.
    pub environment: BTreeMap<String, String>,
    /// Profiles that are on.
    pub profiles: Vec<String>,
    /// The stack's name, where somebody gives it another than its files do.
    pub name: Option<String>,
    /// Read in place of `.env`.
    pub env_files: Vec<PathBuf>,
    /// What `~` means.
    pub home: Option<PathBuf>,
    /// Defaults of the stacks' policies.
    pub policy: Policy,
    /// What the stacks may have of the host; `None`: all that Compose can ask for.
    pub permits: Option<Permits>,
}

/// One stack, loaded or refused.
#[derive(Clone)]
pub struct LoadedStack {
    /// The folder, as shown.
    pub shown: String,
    /// The folder.
    pub dir: PathBuf,
    /// Its name, where the files say so much.
    pub name: Option<StackName>,
    /// What is desired, with the content that it names; `None`: refused.
    pub lowered: Option<(Desired, Vec<Content>)>,
    /// Why it was refused: every error, printed with position and excerpt.
    pub errors: Vec<String>,
    /// Warnings and notices, printed likewise.
    pub warnings: Vec<String>,
    /// All of them as data.
    pub problems: Vec<Problem>,
    /// What its files say, where they are right; with the texts that problems point into.
    pub stack: Option<keel_spec::Stack>,
    /// The texts that its problems point into.
    pub(crate) texts: Texts,
    /// Files of the revision that its tasks mount, by digest, and where in the repository they are.
    pub(crate) trees: BTreeMap<Digest, PathBuf>,
    /// Paths in the repository that its tasks see below the source's data folder.
    pub data: BTreeSet<PathBuf>,
    /// Files that decided what it is; a change of one means to load again.
    pub read: BTreeSet<PathBuf>,
    /// Submodules that it needs, and that are not here.
    pub(crate) wants: BTreeSet<PathBuf>,
    /// All that its files were asked.
    pub(crate) answers: ReadSet,
    /// How long that took.
    pub(crate) took: Duration,
}

impl LoadedStack {
    /// What may be in a folder that is not here.
    pub(crate) fn away(path: &Path, dir: PathBuf, lack: &Lack) -> Self {
        let problem = Problem::new(Code::NotFetched, lack.why.clone());
        let problem = Problem { hint: lack.hint.clone(), ..problem };
        Self {
            shown: path.to_string_lossy().into_owned(),
            dir,
            name: None,
            lowered: None,
            errors: vec![keel_spec::problem::render(&problem, &Texts::default())],
            warnings: vec![],
            problems: vec![problem],
            stack: None,
            texts: Texts::default(),
            trees: BTreeMap::new(),
            data: BTreeSet::new(),
            read: BTreeSet::new(),
            wants: [path.to_owned()].into(),
            answers: ReadSet::default(),
            took: Duration::ZERO,
        }
    }

    /// Whether it stands for a submodule that is not here.
    pub(crate) fn is_away(&self) -> bool {
        self.wants.contains(Path::new(&self.shown)) && self.stack.is_none()
    }

    /// The same of a folder in it.
    pub(crate) fn hiding(&self, folder: &Path) -> Self {
        Self { shown: folder.to_string_lossy().into_owned(), ..self.clone() }
    }

    /// As it is handed to a controller; `None` for a refused one.
    #[must_use]
    pub fn submission(self) -> Option<Submission> {
        let (desired, contents) = self.lowered?;
        let encoded = |content: Content| {
            let text = base64::engine::general_purpose::STANDARD.encode(&*content.bytes);
            (content.digest, text)
        };
        Some(Submission { desired, contents: contents.into_iter().map(encoded).collect() })
    }

    /// Why it was refused, if it was: the first error with its place, in one line.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let first = self.problems.iter().find(|problem| problem.is_error())?;
        let place = first.span.as_ref().map(|span| format!("{span}: ")).unwrap_or_default();
        Some(format!("{place}{}", first.message))
    }
}

impl LoadedStack {
    /// What is legal in its files and hurts, as data that outlives them.
    pub(crate) fn warning_rows(&self) -> Vec<WarningRow> {
        let texts = self.stack.as_ref().map(|stack| stack.texts.clone()).unwrap_or_default();
        let warnings = self.problems.iter().filter(|one| one.severity == Severity::Warning);
        let row = |problem: &Problem| WarningRow {
            at: problem
                .span
                .as_ref()
                .map(|at| format!("{}:{}:{}", at.file, at.line, at.column))
                .unwrap_or_default(),
            message: problem.message.clone(),
            code: problem.code.to_string(),
            // Without the revision: what was told already is not news because of a push.
            text: keel_spec::problem::render(problem, &texts),
        };
        warnings.map(row).collect()
    }
}

impl Reading {
    /// Loads and lowers one stack.
    #[must_use]
    pub fn load(&self, found: &Found) -> LoadedStack {
        let began = Instant::now();
        let project = self.project(found);
        let files = self.files.of(&project);
        let files = Asked::new(&files);
        let loaded = keel_spec::load(&project, &files);
        let mut problems = loaded.problems;
        let revision = self.revision.clone().unwrap_or_else(|| revision_of(&loaded.texts));
        let mut out = LoadedStack {
            shown: found.shown.clone(),
            dir: found.dir.clone(),
            name: None,
            lowered: None,
            errors: vec![],
            warnings: vec![],
            problems: vec![],
            stack: None,
            texts: Texts::default(),
            trees: BTreeMap::new(),
            data: BTreeSet::new(),
            read: paths_read(&loaded.texts, &found.dir),
            wants: BTreeSet::new(),
            answers: ReadSet::default(),
            took: Duration::ZERO,
        };
        if let Some(stack) = &loaded.stack {
            out.name = StackName::new(stack.name.as_str()).ok();
            out.read.extend(content_files(stack));
            let lowered = lower(stack, &files, &self.context(found, revision));
            let limited = problems.iter().any(|problem| problem.code == Code::NotAllowed);
            // Who may not name the host's files is not told which of them there are.
            let told = |found: &Problem| !(limited && found.code == Code::MissingSource);
            let found = lowered.problems.into_iter();
            let found = found.filter(|found| !stack.allows(found) && told(found));
            problems.extend(keel_spec::problem::gathered(found.collect()));
            (out.data, out.trees) = (lowered.data, lowered.trees);
            out.lowered = Some((lowered.desired, lowered.contents));
        }
        let commit = self.revision.as_deref().map(keel_engine::short);
        for problem in &problems {
            let printed = keel_spec::problem::render_at(problem, &loaded.texts, commit);
            let list = if problem.is_error() { &mut out.errors } else { &mut out.warnings };
            list.push(printed);
        }
        if problems.iter().any(Problem::is_error) {
            out.lowered = None;
        }
        out.problems = problems;
        (out.stack, out.texts) = (loaded.stack, loaded.texts);
        (out.wants, out.answers) = files.answers();
        out.took = began.elapsed();
        out
    }

    /// The stack's model alone.
    pub fn render(&self, found: &Found) -> Rendered {
        let project = self.project(found);
        keel_spec::render(&project, &self.files.of(&project))
    }

    fn project(&self, found: &Found) -> Project {
        Project {
            dir: found.dir.clone(),
            files: found.files.clone(),
            shown: found.shown.clone(),
            name: self.name.clone(),
            environment: self.environment.clone(),
            env_files: self.env_files.clone(),
            profiles: self.profiles.clone(),
            permits: self.permits.clone(),
        }
    }

    fn context(&self, found: &Found, revision: String) -> Context {
        let base = match &self.files {
            StackFiles::Folder(_) => lower::Base::Folder { root: found.dir.clone() },
            StackFiles::Checkout { root, data, .. } => {
                lower::Base::Git { checkout: root.clone(), data: data.clone() }
            }
        };
        let (owner, policy) = (self.owner.clone(), self.policy.clone());
        let confined = |permits: &Permits| !permits.words.contains(&Permission::HostPaths);
        let confined = self.permits.as_ref().is_some_and(confined);
        Context { owner, revision, base, home: self.home.clone(), policy, confined }
    }
}

/// The same name twice refuses both: which of them was meant is not ours to guess.
pub fn refuse_twins(stacks: &mut [LoadedStack]) {
    let mut folders: BTreeMap<StackName, Vec<String>> = BTreeMap::new();
    for stack in stacks.iter() {
        if let Some(name) = &stack.name {
            folders.entry(name.clone()).or_default().push(stack.shown.clone());
        }
    }
    for stack in stacks {
        let Some(name) = &stack.name else { continue };
        let twins = &folders[name];
        if twins.len() > 1 {
            stack.lowered = None;
            let message = format!("several stacks are named `{name}`: {}", twins.join(", "));
            let problem = Problem::new(Code::BadName, message).hint("give each its own `name:`");
            stack.errors.push(keel_spec::problem::render(&problem, &Texts::default()));
            stack.problems.push(problem);
        }
    }
}

/// Warns of what several of the stacks want, and only one can have.
pub fn warn_of_conflicts(stacks: &mut [LoadedStack]) {
    let known = stacks.iter().enumerate().filter(|(_, stack)| stack.stack.is_some());
    let indices: Vec<usize> = known.map(|(index, _)| index).collect();
    let specs: Vec<_> = stacks.iter().filter_map(|stack| stack.stack.as_ref()).collect();
    let found = keel_spec::conflicts(&specs);
    for (at, problem) in found {
        let stack = &mut stacks[indices[at]];
        let texts = stack.stack.as_ref().map(|stack| stack.texts.clone()).unwrap_or_default();
        stack.warnings.push(keel_spec::problem::render(&problem, &texts));
        stack.problems.push(problem);
    }
}

fn revision_of(texts: &Texts) -> String {
    let texts: Vec<_> = texts.iter().collect();
    digest_of(&texts).short().to_owned()
}

fn paths_read(texts: &Texts, dir: &Path) -> BTreeSet<PathBuf> {
    texts.iter().map(|(file, _)| dir.join(&**file)).collect()
}

fn content_files(stack: &keel_spec::Stack) -> BTreeSet<PathBuf> {
    let all = stack.configs.values().chain(stack.secrets.values());
    all.filter_map(|config| match &config.content {
        keel_spec::Content::File(path) => Some(path.path()),
        _ => None,
    })
    .collect()
}
