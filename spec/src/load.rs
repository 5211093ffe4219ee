//! From a project's files to its stack.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::allow;
use crate::checks;
use crate::code::Code;
use crate::compose::{Composer, Parsed, Surroundings};
use crate::decode::{Field, Scope};
use crate::discover::normal_name;
use crate::empty;
use crate::env_files;
use crate::environment::{Environment, Variable};
use crate::extension::Policy;
use crate::files::{Files, tidy};
use crate::interpolate::{self, Variables};
use crate::item::{Entry, Item, Node};
use crate::judge;
use crate::keys::Place;
use crate::merge;
use crate::permission;
use crate::problem::{self, Problem};
use crate::project::Project;
use crate::resources;
use crate::service::Service;
use crate::source::Sources;
use crate::span::{Origins, Span, Texts, Via};
use crate::stack::{Stack, allows};
use crate::unset;
use crate::warnings;

/// What loading came to.
#[derive(Debug, Clone, Default)]
#[must_use = "a load whose problems nobody looks at hides them"]
pub struct Loaded {
    /// The stack; absent when a problem is an error.
    pub stack: Option<Stack>,
    /// The stack's name as far as the files say it, also when the stack is refused: a stack that
    /// is refused has not gone.
    pub name: Option<String>,
    /// Everything that was found wrong or worth saying, by position.
    pub problems: Vec<Problem>,
    /// The text of the files that were read, for excerpts.
    pub texts: Texts,
    /// The paths that were read, or looked for and missing: a change of one means to load again.
    pub paths: BTreeSet<PathBuf>,
}

/// Loads the stack of `project`, reading through `files`.
pub fn load(project: &Project, files: &dyn Files) -> Loaded {
    resolve(project, files).0
}

/// Loads a stack, and hands back the merged tree that it was decoded from, too.
pub(crate) fn resolve(project: &Project, files: &dyn Files) -> (Loaded, Option<Item>) {
    let sources = Sources::new(files, project);
    let (name, found) = stack(&sources);
    let (stack, model) = found.unzip();
    let texts = sources.texts.into_inner();
    let failed = sources.problems.any_error();
    let mut problems = in_order(sources.problems.into_vec());
    unset::drop_consequences(&mut problems, &sources.unfilled.into_inner());
    unset::explain(&mut problems, &sources.unset.into_inner(), &texts);
    problems.retain(|problem| !allows(stack.as_ref(), &texts, problem));
    let mut problems = problem::gathered(problems);
    problems.iter_mut().for_each(|problem| conceal(problem, &texts));
    let stack = stack.filter(|_| !failed).map(|stack| Stack { texts: texts.clone(), ..stack });
    let paths = sources.paths.into_inner();
    (Loaded { stack, name, problems, texts, paths }, model)
}

/// Says of a problem in a file that may not be quoted what kind it is, and where: its own words may
/// hold some of the file's, and get into records and messages.
fn conceal(problem: &mut Problem, texts: &Texts) {
    let Some(span) = problem.span.as_mut().filter(|span| texts.is_hidden(&span.file)) else {
        return;
    };
    span.via.retain(|link| !matches!(link.how, Via::Variable(_)));
    problem.message = problem.code.title().to_owned();
    (problem.service, problem.label, problem.hint) = (None, None, None);
    problem.others.clear();
}

/// By position, files in the order in which they were first spoken of; each problem once.
fn in_order(problems: Vec<Problem>) -> Vec<Problem> {
    let mut files: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for span in problems.iter().filter_map(|problem| problem.span.as_ref()) {
        let next = files.len();
        files.entry(span.file.clone()).or_insert(next);
    }
    let mut seen = HashSet::new();
    let place = |span: &Span| (files.get(&span.file).copied(), span.line, span.column);
    let mut problems: Vec<Problem> = problems
        .into_iter()
        .filter(|problem| {
            seen.insert((problem.code, problem.message.clone(), problem.span.as_ref().map(place)))
        })
        .collect();
    problems.sort_by_key(|problem| problem.span.as_ref().map(place));
    problems
}

/// The stack's name, and the stack with its tree, be it right or wrong.
fn stack(sources: &Sources<'_>) -> (Option<String>, Option<(Stack, Item)>) {
    let mut environment = sources.environment();
    let base: Arc<Path> = tidy(&sources.project.dir).into();
    let composer = Composer::new(sources);
    let paths = sources.compose_files(&environment);
    let listed = environment.get("COMPOSE_FILE").and_then(|variable| variable.at.clone());
    let listed = listed.filter(|_| sources.project.files.is_empty());
    let files: Vec<Parsed> =
        paths.iter().filter_map(|path| composer.parse(path, &base, listed.as_ref())).collect();
    let name = name(sources, &files, &environment);
    let variable = Variable { value: name.clone().unwrap_or_default(), at: None };
    environment.set("COMPOSE_PROJECT_NAME", variable);
    if files.len() < paths.len() || files.iter().any(|file| file.broken) {
        // What a file that cannot be read would have said is not missed in the others.
        return (name, None);
    }
    let around = Surroundings { environment: &environment, base: &base, including: &[] };
    let Some(mut model) = composer.model(files, around) else {
        // Whatever kept the files from being read has been said.
        if let (false, Some(path)) = (sources.problems.any_error(), paths.first()) {
            let message = format!("`{}` is empty", sources.shown(path));
            sources.problems.add(Problem::new(Code::Empty, message));
        }
        return (name, None);
    };
    merge::settle(&mut model, &mut Vec::new(), &sources.problems);
    empty::drop_empty(&mut model);
    let mut stack = decode(&model, name.clone().unwrap_or_default(), &environment, sources);
    if let Some(permits) = &sources.project.permits {
        permission::judge(&model, &stack.name, permits, &sources.problems);
    }
    checks::check(&stack, &model, &sources.problems);
    warnings::warn(&stack, &model, sources);
    checks::drop_absent(&mut stack);
    checks::spread_holds(&mut stack);
    (name, Some((stack, model)))
}

/// The stack's name: the one given, `COMPOSE_PROJECT_NAME`, the last `name:`, the folder's.
fn name(sources: &Sources<'_>, files: &[Parsed], environment: &Environment) -> Option<String> {
    let given = sources.project.name.as_deref();
    let given =
        given.or_else(|| environment.value("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()));
    if let Some(name) = given {
        if normal_name(name) != name || name.is_empty() {
            let message = format!("`{name}` is not a valid stack name");
            let hint =
                "use lower case letters, digits, `-` and `_`, and begin with a letter or digit";
            sources.problems.add(Problem::new(Code::BadName, message).hint(hint));
        }
        return Some(name.to_owned());
    }
    let written =
        files.iter().flat_map(|file| &file.documents).filter_map(|document| document.get("name"));
    let mut written = written;
    let filled =
        written.next_back().and_then(Item::text).map(|text| interpolate::fill(text, environment));
    let name = match filled {
        Some(Ok(filled)) => normal_name(&filled.text),
        // The same fault is met, and told, when the file is interpolated.
        Some(Err(_)) => return None,
        None => normal_name(&sources.project.dir.file_name().unwrap_or_default().to_string_lossy()),
    };
    if name.is_empty() {
        let problem = Problem::new(Code::BadName, "the stack has no name");
        sources.problems.add(problem.hint("write `name: …` at the top of the Compose file"));
        return None;
    }
    Some(name)
}

fn decode(model: &Item, name: String, environment: &Environment, sources: &Sources<'_>) -> Stack {
    let problems = &sources.problems;
    let scope = Scope::new("the stack", problems);
    let root = Field::root(&scope, model, &model.span);
    judge::judge_keys(&root, Place::root());
    for key in ["name", "x-keel", "models"] {
        if let (Some(field), Some(place)) = (root.get(key), Place::root().key(key)) {
            judge::judge(&field, place);
        }
    }
    root.get("name").map(|field| field.text());
    let (policy, allow) = (Policy::decode(&root), allow::decode(&root));
    let stack = Stack {
        name,
        services: services(&root, environment, sources),
        networks: section(&root, "networks", |entry| resources::network(entry, problems)),
        volumes: section(&root, "volumes", |entry| resources::volume(entry, problems)),
        configs: section(&root, "configs", |entry| {
            resources::config("configs", entry, environment, problems)
        }),
        secrets: section(&root, "secrets", |entry| {
            resources::config("secrets", entry, environment, problems)
        }),
        policy,
        allow,
        origins: Origins::default(),
        texts: Texts::default(),
        dir: sources.project.dir.clone(),
    };
    let (origins, _) = scope.finish();
    with_default_network(Stack { origins, ..stack })
}

/// The entries of a top-level section, each checked for its name.
fn section<T>(root: &Field<'_>, key: &str, decode: impl Fn(&Entry) -> T) -> BTreeMap<String, T> {
    let Some(field) = root.get(key) else { return BTreeMap::new() };
    if !matches!(field.item.node, Node::Map(_)) {
        field.wrong::<()>("a mapping");
    }
    let mut found = BTreeMap::new();
    for entry in field.item.entries() {
        valid_name(entry, root.scope);
        root.scope.origin(format!("{key}.{}", entry.key), &entry.at);
        found.insert(entry.key.clone(), decode(entry));
    }
    found
}

fn valid_name(entry: &Entry, scope: &Scope<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if entry.key.is_empty() || !entry.key.chars().all(allowed) {
        let message =
            format!("`{}` is not a valid name: use letters, digits, `.`, `_` and `-`", entry.key);
        scope.add(Problem::new(Code::BadName, message).at(entry.at.clone()));
    }
}

fn services(
    root: &Field<'_>,
    environment: &Environment,
    sources: &Sources<'_>,
) -> BTreeMap<String, Service> {
    let profiles = profiles(environment, sources.project);
    section(root, "services", |entry| service(entry, &profiles, environment, sources))
}

fn profiles(environment: &Environment, project: &Project) -> HashSet<String> {
    let listed = environment.value("COMPOSE_PROFILES").unwrap_or_default();
    let listed =
        listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    listed.chain(project.profiles.iter().cloned()).collect()
}

fn service(
    entry: &Entry,
    profiles: &HashSet<String>,
    environment: &Environment,
    sources: &Sources<'_>,
) -> Service {
    let scope = Scope::service(&entry.key, &sources.problems);
    let field = Field::root(&scope, &entry.value, &entry.at);
    scope.origin("", &entry.at);
    if !matches!(entry.value.node, Node::Map(_)) {
        let message = format!("{} must be a mapping, and is {}", field.name(), entry.value.what());
        let mut problem = Problem::new(Code::WrongType, message).at(field.place().clone());
        problem.hint = crate::service::slipped(&entry.key);
        scope.add(problem);
        return Service { name: entry.key.clone(), ..Service::default() };
    }
    if let Some(place) = Place::root().key("services").and_then(|place| place.key(&entry.key)) {
        judge::judge(&field, place);
    }
    let mut service = Service::decode(&entry.key, &field);
    let on = |profile: &String| profiles.contains(profile) || profiles.contains("*");
    service.enabled = service.profiles.is_empty() || service.profiles.iter().any(on);
    let own = std::mem::take(&mut service.process.environment);
    service.process.environment = match service.enabled {
        true => env_files::complete(&field, own, environment, sources),
        false => own,
    };
    if service.enabled {
        let own = std::mem::take(&mut service.labels);
        service.labels = env_files::complete_labels(&field, own, environment, sources);
    }
    (service.origins, service.held) = scope.finish();
    service
}

/// A stack whose services use the default network has it, also when no file names it.
fn with_default_network(mut stack: Stack) -> Stack {
    use crate::service::{NetworkMode, networks::DEFAULT};
    let uses = |service: &Service| matches!(&service.networking.mode, NetworkMode::Networks(names) if names.contains_key(DEFAULT));
    if stack.services.values().any(|service| service.enabled && uses(service)) {
        stack.networks.entry(DEFAULT.to_owned()).or_default();
    }
    stack
}
