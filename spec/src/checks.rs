//! What must hold between the parts of a stack: references, names, cycles. Services that a
//! profile switches off are not looked at.

mod across_nodes;
mod before_deploy;
mod scheduling;
mod unrun;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::advice;
use crate::code::Code;
use crate::item::{Item, Node};
use crate::nearest;
use crate::problem::{Problem, Problems};
use crate::service::{Condition, MountKind, NetworkMode, Service, Test};
use crate::stack::{Held, Stack};

/// Reports everything that does not hold.
pub(crate) fn check(stack: &Stack, model: &Item, problems: &Problems) {
    let check = Check { stack, model, problems };
    for service in enabled(stack) {
        check.networks(service);
        check.mounts(service);
        check.grants(service);
        check.dependencies(service);
        check.names(service);
    }
    check.container_names();
    check.cycles();
    before_deploy::check(stack, problems);
    scheduling::check(stack, problems);
    across_nodes::check(stack, problems);
    unrun::check(stack, model, problems);
}

fn enabled(stack: &Stack) -> impl Iterator<Item = &Service> {
    stack.services.values().filter(|service| service.enabled)
}

struct Check<'a> {
    stack: &'a Stack,
    model: &'a Item,
    problems: &'a Problems,
}

impl Check<'_> {
    fn error(
        &self,
        service: &Service,
        path: &str,
        code: Code,
        message: String,
        hint: Option<String>,
    ) {
        let mut problem = Problem::new(code, message).of(&service.name);
        problem.span = service.origins.nearest(path).or_else(|| service.origins.get("")).cloned();
        problem.hint = hint;
        self.problems.add(problem);
    }

    /// A reference to something that must be declared at the top level.
    fn declared<T>(
        &self,
        service: &Service,
        path: &str,
        section: &str,
        name: &str,
        known: &BTreeMap<String, T>,
    ) {
        if known.contains_key(name) || self.problems.is_full() || self.has_slipped(section, name) {
            return;
        }
        let word = section.trim_end_matches('s');
        let message = format!("service `{}` uses the undefined {word} `{name}`", service.name);
        let near = nearest::hint(name, known.keys().map(String::as_str));
        let path_like = || {
            let path = section == "volumes" && name.contains('/');
            path.then(|| format!("a path on the host begins with `./`: write `./{name}`"))
        };
        let declare = || Some(format!("declare it under the top-level `{section}:`"));
        let hint = path_like().or(near).or_else(declare);
        self.error(service, path, Code::Undefined, message, hint);
    }

    /// Whether the section is in the wrong place, or has another name or shape, or the entry is
    /// inside of another one: that has been said where it is, and is why it is not found.
    fn has_slipped(&self, section: &str, name: &str) -> bool {
        let written = self.model.get(section);
        let shape = written.is_some_and(|item| matches!(item.node, Node::List(_)));
        let inside = written.map(Item::entries).unwrap_or_default();
        let inside = inside.iter().any(|entry| entry.value.get(name).is_some());
        let sections = ["services", "networks", "volumes", "configs", "secrets"];
        let mut others = sections.iter().filter_map(|other| self.model.get(other));
        let as_entry = others.any(|other| other.get(section).is_some());
        let misspelt = written.is_none() && advice::misspelt(self.model, section);
        shape || inside || as_entry || misspelt
    }

    fn networks(&self, service: &Service) {
        match &service.networking.mode {
            NetworkMode::Networks(networks) => {
                for name in networks.keys() {
                    let path = format!("networks.{name}");
                    self.declared(service, &path, "networks", name, &self.stack.networks);
                }
            }
            NetworkMode::Service(name) => self.service_there(service, "network_mode", name),
            NetworkMode::Host if !service.ports.is_empty() => {
                let message = format!(
                    "the ports of service `{}` are the host's own already, by `network_mode: host`",
                    service.name
                );
                let mut problem = Problem::new(Code::HostPorts, message).of(&service.name);
                problem.span = service.origins.get("ports[0]").cloned();
                self.problems.add(problem.hint("remove `ports`"));
            }
            _ => {}
        }
    }

    fn mounts(&self, service: &Service) {
        let mut targets = HashMap::new();
        let listed = |key, mounts: &[_]| (0..mounts.len()).map(move |i| format!("{key}[{i}]"));
        let paths = listed("volumes", &service.mounts).chain(listed("tmpfs", &service.tmpfs));
        for (mount, path) in service.mounts.iter().chain(&service.tmpfs).zip(paths) {
            if let MountKind::Volume { volume, .. } = &mount.kind {
                self.declared(service, &path, "volumes", volume, &self.stack.volumes);
            }
            if let Some(first) = targets.insert(&mount.target, path.clone()) {
                let message = format!("`{}` is mounted twice, also by `{first}`", mount.target);
                self.error(service, &path, Code::MountedTwice, message, None);
            }
        }
    }

    fn grants(&self, service: &Service) {
        for (i, grant) in service.configs.iter().enumerate() {
            let path = format!("configs[{i}]");
            self.declared(service, &path, "configs", &grant.source, &self.stack.configs);
        }
        for (i, grant) in service.secrets.iter().enumerate() {
            let path = format!("secrets[{i}]");
            self.declared(service, &path, "secrets", &grant.source, &self.stack.secrets);
        }
    }

    /// A reference to another service, which must be there and enabled.
    fn service_there(&self, service: &Service, path: &str, name: &str) {
        let services = &self.stack.services;
        let (message, hint) = match services.get(name) {
            Some(other) if other.enabled => return,
            _ if self.problems.is_full() => return,
            Some(_) => {
                let message =
                    format!("service `{}` needs `{name}`, which no profile enables", service.name);
                (message, Some(format!("enable a profile of `{name}`")))
            }
            None => {
                let message =
                    format!("service `{}` depends on the undefined service `{name}`", service.name);
                (message, nearest::hint(name, services.keys().map(String::as_str)))
            }
        };
        self.error(service, path, Code::Undefined, message, hint);
    }

    fn dependencies(&self, service: &Service) {
        let by_network = match &service.networking.mode {
            NetworkMode::Service(name) => Some(name),
            _ => None,
        };
        for (name, dependency) in &service.depends_on {
            let other = self.stack.services.get(name);
            let off = other.is_some_and(|other| !other.enabled);
            if Some(name) == by_network || (off && !dependency.required) {
                continue;
            }
            let path = format!("depends_on.{name}");
            self.service_there(service, &path, name);
            let unchecked = other
                .and_then(|other| other.health.as_ref())
                .is_some_and(|h| h.test == Test::Disabled);
            if dependency.condition == Condition::Healthy && unchecked {
                let message = format!(
                    "service `{}` waits for `{name}` to be healthy, which has no health check",
                    service.name
                );
                self.error(service, &path, Code::NoHealthCheck, message, None);
            }
        }
    }

    fn names(&self, service: &Service) {
        let Some(name) = &service.container_name else { return };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.len() < 2
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.chars().all(allowed)
        {
            let message = format!("`{name}` cannot be the name of a container");
            let hint = "use letters, digits, `.`, `_` and `-`".to_owned();
            self.error(service, "container_name", Code::BadName, message, Some(hint));
        }
        if service.deploy.replicas > 1 {
            let message = format!(
                "`container_name` is one name, and service `{}` has {} replicas",
                service.name, service.deploy.replicas
            );
            let hint = "remove `container_name`".to_owned();
            self.error(service, "container_name", Code::Conflict, message, Some(hint));
        }
    }

    fn container_names(&self) {
        let mut owners: HashMap<&str, &Service> = HashMap::new();
        for service in enabled(self.stack) {
            let Some(name) = service.container_name.as_ref().filter(|name| !name.is_empty()) else {
                continue;
            };
            if let Some(first) = owners.insert(name, service) {
                let message = format!(
                    "services `{}` and `{}` have one `container_name`",
                    first.name, service.name
                );
                self.error(service, "container_name", Code::Conflict, message, None);
            }
        }
    }

    fn cycles(&self) {
        let mut done: HashSet<&str> = HashSet::new();
        for service in enabled(self.stack) {
            self.cycle_from(&service.name, &mut done);
        }
    }

    /// Walks dependencies by depth, without recursion: a chain may be long.
    fn cycle_from<'a>(&'a self, start: &'a str, done: &mut HashSet<&'a str>) {
        let below = |name: &str| {
            let service = self.stack.services.get(name).filter(|service| service.enabled);
            service.map(|service| service.depends_on.keys()).into_iter().flatten()
        };
        let mut on_path: HashSet<&str> = HashSet::from([start]);
        let mut path = vec![(start, below(start))];
        while let Some((name, rest)) = path.last_mut() {
            let name = *name;
            match rest.next().map(String::as_str) {
                Some(next) if on_path.contains(next) => {
                    let from = path.iter().position(|(name, _)| *name == next).unwrap_or_default();
                    let names: Vec<&str> = path[from..].iter().map(|(name, _)| *name).collect();
                    self.cycle(&names, done);
                }
                Some(next) if !done.contains(next) => {
                    on_path.insert(next);
                    path.push((next, below(next)));
                }
                Some(_) => {}
                None => {
                    done.insert(name);
                    on_path.remove(name);
                    path.pop();
                }
            }
        }
    }

    fn cycle<'a>(&self, names: &[&'a str], done: &HashSet<&'a str>) {
        let (Some(first), Some(last)) = (names.first(), names.last()) else { return };
        if names.iter().any(|name| done.contains(name)) {
            return;
        }
        let Some(service) = self.stack.services.get(*last) else { return };
        let message = format!("dependency cycle detected: {} -> {first}", names.join(" -> "));
        self.error(service, &format!("depends_on.{first}"), Code::Cycle, message, None);
    }
}

/// Takes out dependencies that may be missing, and whose service is off: nobody waits for those.
pub(crate) fn drop_absent(stack: &mut Stack) {
    let off: HashSet<String> = stack
        .services
        .values()
        .filter(|service| !service.enabled)
        .map(|service| service.name.clone())
        .collect();
    for service in stack.services.values_mut() {
        service.depends_on.retain(|name, dependency| dependency.required || !off.contains(name));
    }
}

/// Services on a network, volume, config or secret that is held are held, too.
pub(crate) fn spread_holds(stack: &mut Stack) {
    let Stack { services, networks, volumes, configs, secrets, .. } = stack;
    for service in services.values_mut() {
        let mut held = Vec::new();
        if let NetworkMode::Networks(names) = &service.networking.mode {
            let used = names.keys().filter_map(|name| Some((name, &networks.get(name)?.held)));
            held.extend(used.flat_map(|(name, held)| below("networks", name, held)));
        }
        let mounted = service.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Volume { volume, .. } => Some((volume, &volumes.get(volume)?.held)),
            _ => None,
        });
        held.extend(mounted.flat_map(|(name, held)| below("volumes", name, held)));
        for (section, grants, known) in
            [("configs", &service.configs, &*configs), ("secrets", &service.secrets, &*secrets)]
        {
            let used = grants
                .iter()
                .filter_map(|grant| Some((&grant.source, &known.get(&grant.source)?.held)));
            held.extend(used.flat_map(|(name, held)| below(section, name, held)));
        }
        service.held.extend(held);
    }
}

fn below<'a>(section: &'a str, name: &'a str, held: &'a [Held]) -> impl Iterator<Item = Held> + 'a {
    held.iter()
        .map(move |held| Held { path: format!("{section}.{name}.{}", held.path), ..held.clone() })
}
