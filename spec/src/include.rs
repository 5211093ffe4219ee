//! `include`: another project's files as if they were here, with their own folder and variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::code::Code;
use crate::compose::{Composer, Surroundings};
use crate::environment::Environment;
use crate::item::{Item, Node};
use crate::problem::Problem;
use crate::source::Sources;
use crate::span::{Link, Via};

/// How many files a project may include in all.
const MAX_INCLUDED: usize = 256;

/// What comes along with an included file.
const SECTIONS: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

impl Composer<'_> {
    /// The document over all that it includes.
    pub(crate) fn include(
        &self,
        mut document: Item,
        path: &Path,
        around: Surroundings<'_>,
    ) -> Item {
        let Some(entry) = document.take("include") else { return document };
        let including = [around.including, &[path.to_owned()]].concat();
        let around = Surroundings { including: &including, ..around };
        let Node::List(items) = &entry.value.node else {
            if !entry.value.is_null() {
                self.bad(&entry.value, "`include` must be a list of files");
            }
            return document;
        };
        let included = items.iter().filter_map(|item| self.included(item, around));
        let below = included.reduce(|below, over| self.merge(below, over, &mut Vec::new()));
        match below {
            Some(below) => self.merge(below, document, &mut Vec::new()),
            None => document,
        }
    }

    fn bad(&self, item: &Item, message: impl Into<String>) {
        let problem = Problem::new(Code::Include, message).at(item.span.clone());
        self.sources.problems.add(problem);
    }

    /// One item of `include`: a file, or `{path, project_directory, env_file}`.
    fn included(&self, item: &Item, around: Surroundings<'_>) -> Option<Item> {
        let paths = match item.text() {
            Some(_) => vec![item],
            None => texts(item.get("path")),
        };
        if paths.is_empty() {
            self.bad(item, "an item of `include` must be a file, or a mapping with `path`");
            return None;
        }
        self.known_keys(item);
        let paths: Vec<(&Item, PathBuf)> = paths
            .into_iter()
            .filter_map(|written| Some((written, Sources::path(around.base, written.text()?))))
            .collect();
        for (written, path) in &paths {
            self.allowed(written, path, around)?;
        }
        let base = match item.get("project_directory").and_then(Item::text) {
            Some(folder) => Sources::path(around.base, folder),
            None => paths.first()?.1.parent().map(Path::to_owned).unwrap_or_default(),
        };
        let environment = self.variables(item, &base, around);
        let base: Arc<Path> = base.into();
        let files = paths.iter().filter_map(|(at, path)| self.parse(path, &base, Some(&at.span)));
        let around = Surroundings { environment: &environment, base: &base, ..around };
        // Services that were extended from were interpolated with other variables than these.
        self.bases.borrow_mut().clear();
        let model = self.model(files.collect(), around);
        self.bases.borrow_mut().clear();
        let mut model = model?;
        keep_sections(&mut model, item);
        Some(model)
    }

    fn known_keys(&self, item: &Item) {
        let known = ["path", "project_directory", "env_file"];
        for entry in item.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("unknown key `{}` in `include`", entry.key);
            let mut problem = Problem::new(Code::UnknownKey, message).at(entry.at.clone());
            problem.hint = crate::nearest::hint(&entry.key, known);
            self.sources.problems.add(problem);
        }
    }

    /// Refuses cycles, files from elsewhere, and more files than anybody needs.
    fn allowed(&self, written: &Item, path: &Path, around: Surroundings<'_>) -> Option<()> {
        let text = written.text().unwrap_or_default();
        if text.contains("://") || text.starts_with("git@") {
            self.bad(written, format!("`{text}` is not a file of this project"));
            return None;
        }
        if around.including.iter().any(|file| file == path) {
            let chain = around.including.iter().map(|file| self.sources.shown(file));
            let chain: Vec<String> =
                chain.chain([self.sources.shown(path)]).map(|file| file.to_string()).collect();
            self.bad(written, format!("include cycle detected: {}", chain.join(" -> ")));
            return None;
        }
        self.included.set(self.included.get() + 1);
        if self.included.get() > MAX_INCLUDED {
            self.bad(written, format!("more than {MAX_INCLUDED} files are included"));
            return None;
        }
        Some(())
    }

    /// The variables of an included file: the including project's win over its own `.env`.
    fn variables(&self, item: &Item, base: &Path, around: Surroundings<'_>) -> Environment {
        let outer = around.environment.clone();
        let named = texts(item.get("env_file"));
        if named.is_empty() {
            let folder = item.get("project_directory").unwrap_or(item);
            let path = Sources::path(base, ".env");
            let own = self.sources.dotenv(&path, Some(&folder.span), &outer);
            return outer.with_defaults(own);
        }
        let mut found = BTreeMap::new();
        for file in named {
            let Some(text) = file.text().filter(|text| *text != "/dev/null") else { continue };
            let path = Sources::path(around.base, text);
            let known = outer.clone().with_defaults(found.clone());
            found.extend(self.sources.env_file(&path, Some(&file.span), &known));
        }
        outer.with_defaults(found)
    }
}

fn texts(item: Option<&Item>) -> Vec<&Item> {
    match item {
        Some(item) if item.text().is_some() => vec![item],
        Some(item) => item.items().iter().filter(|item| item.text().is_some()).collect(),
        None => Vec::new(),
    }
}

/// Drops what does not come along, and says of the rest how it came here.
fn keep_sections(model: &mut Item, item: &Item) {
    let Some(sections) = model.entries_mut() else { return };
    sections.retain(|entry| SECTIONS.contains(&entry.key.as_str()));
    let link = Link { how: Via::Includes, at: item.span.clone() };
    for section in sections {
        section.value.came_by(&link);
    }
}
