//! Which files a project is made of, what its variables are, and how it is called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::dotenv;
use crate::environment::{Environment, Variable};
use crate::files::{Kind, tidy};
use crate::interpolate::Variables;
use crate::problem::Problem;
use crate::source::{Lines, Source, Sources};
use crate::span::Span;

/// File names that a project is looked for by, in order.
pub const NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

impl Sources<'_> {
    /// The project's variables, `.env` included.
    pub(crate) fn environment(&self) -> Environment {
        let outer = Environment::new(&self.project.environment);
        let dir = &self.project.dir;
        let off = outer
            .value("COMPOSE_DISABLE_ENV_FILE")
            .is_some_and(|word| matches!(word, "1" | "true"));
        let listed = outer.value("COMPOSE_ENV_FILES").unwrap_or_default().split(',');
        let listed: Vec<PathBuf> =
            listed.map(str::trim).filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        let defaults = match self.project.env_files.as_slice() {
            [] if off => BTreeMap::new(),
            [] if !listed.is_empty() => self.env_files_of(&listed, &outer),
            [] => self.dotenv(&tidy(&dir.join(".env")), None, &outer),
            files => self.env_files_of(files, &outer),
        };
        outer.with_defaults(defaults)
    }

    /// Env files that take the place of `.env`; later ones win, and see what those before said.
    fn env_files_of(&self, files: &[PathBuf], outer: &Environment) -> BTreeMap<String, Variable> {
        files.iter().fold(BTreeMap::new(), |mut found, file| {
            let known = outer.clone().with_defaults(found.clone());
            found.extend(self.env_file(&tidy(&self.project.dir.join(file)), None, &known));
            found
        })
    }

    /// A `.env` that may be missing.
    pub(crate) fn dotenv(
        &self,
        path: &Path,
        asked: Option<&Span>,
        outer: &Environment,
    ) -> BTreeMap<String, Variable> {
        match self.kind(path) {
            Kind::Missing | Kind::Dir => BTreeMap::new(),
            // What is there and cannot be read says so: its variables must not be missed in silence.
            Kind::File | Kind::Other => self.env_file(path, asked, outer),
        }
    }

    /// An env file that must be there. Names that nobody sets are left out.
    pub(crate) fn env_file(
        &self,
        path: &Path,
        asked: Option<&Span>,
        outer: &dyn Variables,
    ) -> BTreeMap<String, Variable> {
        let Some(source) = self.read(path, asked) else { return BTreeMap::new() };
        let found = self.assignments(&source, dotenv::parse(&source.text, outer));
        let set = |(name, value, at): (String, Option<String>, Span)| {
            Some((name, Variable { value: value?, at: Some(at) }))
        };
        found.into_iter().filter_map(set).collect()
    }

    /// What an env file says, each with its place.
    pub(crate) fn assignments(
        &self,
        source: &Source,
        parsed: Result<Vec<dotenv::Assignment>, dotenv::Fault>,
    ) -> Vec<(String, Option<String>, Span)> {
        let lines = Lines::new(&source.text);
        let span = |range| lines.span(&source.file, range);
        match parsed {
            Ok(found) => {
                let unset = found.iter().flat_map(|assignment| assignment.unset.iter());
                unset.for_each(|(name, range)| self.warn_of(name, span(range.clone())));
                found.into_iter().map(|a| (a.name, a.value, span(a.range))).collect()
            }
            Err(fault) => {
                let problem = Problem::new(Code::EnvFile, fault.message).at(span(fault.range));
                self.problems.add(problem);
                Vec::new()
            }
        }
    }

    /// Warns of a variable that an env file uses and nobody sets: often a `$` of a password.
    fn warn_of(&self, name: &str, at: Span) {
        if self.unset.borrow_mut().insert(name.to_owned()) {
            let message = format!("the variable `{name}` is not set; it counts as empty");
            let problem = Problem::new(Code::UnsetVariable, message).at(at);
            self.problems.add(
                problem.hint("where the `$` itself is meant, put the value between single quotes"),
            );
        }
    }

    /// The project's Compose files: those asked for, `COMPOSE_FILE`'s, or what is found.
    pub(crate) fn compose_files(&self, environment: &Environment) -> Vec<PathBuf> {
        let dir = &self.project.dir;
        let separator = environment.value("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        let listed: Vec<PathBuf> = match environment.value("COMPOSE_FILE") {
            _ if !self.project.files.is_empty() => self.project.files.clone(),
            Some(list) if !list.is_empty() && !separator.is_empty() => {
                list.split(separator).map(PathBuf::from).collect()
            }
            _ => return self.found(),
        };
        listed.iter().map(|file| tidy(&dir.join(file))).collect()
    }

    fn found(&self) -> Vec<PathBuf> {
        let here = |names: &[&str]| -> Vec<PathBuf> {
            let paths = names.iter().map(|name| tidy(&self.project.dir.join(name)));
            paths.filter(|path| matches!(self.kind(path), Kind::File | Kind::Other)).collect()
        };
        let base = self.only_one(here(&NAMES));
        if base.is_none() {
            let dir = if self.project.shown.is_empty() {
                self.project.dir.to_string_lossy()
            } else {
                self.project.shown.as_str().into()
            };
            let message = format!("there is no Compose file in `{dir}`");
            self.problems
                .add(Problem::new(Code::NoFile, message).hint("write a `compose.yaml` there"));
            return Vec::new();
        }
        base.into_iter().chain(self.only_one(here(&OVERRIDES))).collect()
    }

    fn only_one(&self, paths: Vec<PathBuf>) -> Option<PathBuf> {
        let mut paths = paths.into_iter();
        let first = paths.next()?;
        for other in paths {
            let message = format!(
                "`{}` is not read, because there is `{}`",
                self.shown(&other),
                self.shown(&first)
            );
            self.problems.add(Problem::new(Code::TwoFiles, message));
        }
        Some(first)
    }
}

/// A name made of a folder's or a file's words: lower case, without what no name may have.
pub(crate) fn normal_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}
