//! `extends`: a service over another one, of the same file or another.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::code::Code;
use crate::compose::{Composer, Surroundings};
use crate::environment::Environment;
use crate::item::{Entry, Item, Node, Scalar};
use crate::problem::Problem;
use crate::source::Sources;
use crate::span::{Link, Span, Via};

/// How long a chain of services that extend each other may be.
const MAX_CHAIN: usize = 32;

/// Leaves `extends` behind without a value: what it should have brought is not missed again.
fn silence(service: &mut Item) {
    if let Some(extends) = service.get_mut("extends") {
        extends.node = Node::Scalar(Scalar { text: String::new(), plain: true, lead: None });
    }
}

/// A file's services while they are extended.
#[derive(Clone, Copy)]
struct Home<'a> {
    path: &'a Path,
    services: &'a Item,
    environment: &'a Environment,
}

type Chain = Vec<(PathBuf, String)>;

impl Composer<'_> {
    /// Puts every service of the document over what it extends.
    pub(crate) fn extend(&self, document: &mut Item, path: &Path, environment: &Environment) {
        let Some(services) = document.get("services") else { return };
        if !services.entries().iter().any(|entry| entry.value.entry("extends").is_some()) {
            return;
        }
        let services = services.clone();
        let home = Home { path, services: &services, environment };
        for entry in document.get_mut("services").and_then(Item::entries_mut).into_iter().flatten()
        {
            if entry.value.entry("extends").is_some() {
                let mut chain = vec![(path.to_owned(), entry.key.clone())];
                match self.extended(entry, home, &mut chain) {
                    Some(service) => entry.value = service,
                    None => silence(&mut entry.value),
                }
            }
        }
    }

    /// The service over all that it extends; `None` when that is not there, which is said.
    fn extended(&self, entry: &Entry, home: Home<'_>, chain: &mut Chain) -> Option<Item> {
        let mut service = entry.value.clone();
        let Some(extends) = service.take("extends").filter(|entry| !entry.value.is_null()) else {
            return Some(service);
        };
        let (name, file) = self.target(&extends)?;
        let mut base = match file.and_then(|file| Some((file, file.text()?))) {
            None => self.base(name, home, &extends, chain)?,
            Some((file, text)) => {
                let folder = home.path.parent().unwrap_or(Path::new(""));
                let path = Sources::path(folder, text);
                let services = self.services_of(&path, home.environment, &file.span)?;
                let home = Home { path: &path, services: &services, ..home };
                self.base(name, home, &extends, chain)?
            }
        };
        base.came_by(&Link { how: Via::Extends, at: extends.place().clone() });
        let mut path = vec!["services".to_owned(), entry.key.clone()];
        Some(self.merge(base, service, &mut path))
    }

    /// The service and file that `extends` names.
    fn target<'i>(&self, extends: &'i Entry) -> Option<(&'i Item, Option<&'i Item>)> {
        let value = &extends.value;
        let (name, file) = match value.text() {
            Some(_) => (Some(value), None),
            None => (value.get("service"), value.get("file")),
        };
        for entry in
            value.entries().iter().filter(|e| !matches!(e.key.as_str(), "service" | "file"))
        {
            self.refuse(format!("unknown key `{}` in `extends`", entry.key), &entry.at, None);
        }
        let Some(name) = name.filter(|name| name.text().is_some()) else {
            self.refuse("`extends` must name a service", extends.place(), None);
            return None;
        };
        Some((name, file))
    }

    fn base(
        &self,
        name: &Item,
        home: Home<'_>,
        extends: &Entry,
        chain: &mut Chain,
    ) -> Option<Item> {
        let text = name.text()?;
        let link = (home.path.to_owned(), text.to_owned());
        if let Some(start) = chain.iter().position(|before| *before == link) {
            self.circle(&chain[start..], &name.span);
            return None;
        }
        if chain.len() >= MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} services extend each other");
            self.refuse(message, extends.place(), None);
            return None;
        }
        let Some(entry) = home.services.entry(text) else {
            let known = home.services.entries().iter().map(|entry| entry.key.as_str());
            let file = self.sources.shown(home.path);
            let message = format!("there is no service `{text}` in `{file}` to extend");
            self.refuse(message, &name.span, crate::nearest::hint(text, known));
            return None;
        };
        chain.push(link);
        let service = self.extended(entry, home, chain);
        chain.pop();
        service
    }

    /// Says once that these services extend each other, whichever of them it was met from.
    fn circle(&self, links: &[(PathBuf, String)], at: &Span) {
        let mut names: Vec<&str> = links.iter().map(|(_, name)| name.as_str()).collect();
        let first = names.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(i, _)| i);
        names.rotate_left(first);
        names.extend(names.first().copied());
        let message = format!("circular `extends`: {}", names.join(" -> "));
        if self.warned.borrow_mut().insert(message.clone()) {
            self.refuse(message, at, None);
        }
    }

    fn refuse(&self, message: impl Into<String>, at: &Span, hint: Option<String>) {
        let mut problem = Problem::new(Code::Extends, message).at(at.clone());
        problem.hint = hint;
        self.sources.problems.add(problem);
    }

    /// The services of another file; its includes are not followed. Read once.
    fn services_of(
        &self,
        path: &Path,
        environment: &Environment,
        asked: &Span,
    ) -> Option<Rc<Item>> {
        if let Some(known) = self.bases.borrow().get(path) {
            return Some(known.clone());
        }
        let base: Arc<Path> = path.parent().unwrap_or(Path::new("")).into();
        let parsed = self.parse(path, &base, Some(asked))?;
        let around = Surroundings { environment, base: &base, including: &[] };
        let mut documents = parsed.documents.into_iter().filter_map(|mut document| {
            self.prepare(&mut document, around.environment).then_some(document)
        });
        let first = documents.next()?;
        let mut whole =
            documents.fold(first, |below, over| self.merge(below, over, &mut Vec::new()));
        let nothing = whole.here(Node::Map(Vec::new()));
        let services = Rc::new(whole.take("services").map_or(nothing, |entry| entry.value));
        self.bases.borrow_mut().insert(path.to_owned(), services.clone());
        Some(services)
    }
}
