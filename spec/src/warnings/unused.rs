//! What is declared at the top level, and no service uses.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::item::Item;
use crate::problem::Problem;
use crate::service::{Grant, MountKind, NetworkMode, Service};
use crate::span::Origins;
use crate::stack::Stack;

pub(super) fn warn(stack: &Stack, model: &Item) -> Vec<Problem> {
    let services = || stack.services.values();
    let networks = services().flat_map(networks);
    let volumes = services().flat_map(volumes);
    let configs = services().flat_map(|service| sources(&service.configs));
    let secrets = services().flat_map(|service| sources(&service.secrets));
    let secrets = secrets.chain(secrets_of_builds(model));
    let network = stack.networks.iter().map(|(name, network)| (name, &network.origins));
    let volume = stack.volumes.iter().map(|(name, volume)| (name, &volume.origins));
    let config = stack.configs.iter().map(|(name, config)| (name, &config.origins));
    let secret = stack.secrets.iter().map(|(name, secret)| (name, &secret.origins));
    let mut found = of("network", network, networks.collect());
    found.extend(of("volume", volume, volumes.collect()));
    found.extend(of("config", config, configs.collect()));
    found.extend(of("secret", secret, secrets.collect()));
    found
}

fn of<'a>(
    word: &str,
    declared: impl Iterator<Item = (&'a String, &'a Origins)>,
    used: BTreeSet<&str>,
) -> Vec<Problem> {
    let unused = declared.filter(|(name, _)| !used.contains(name.as_str()));
    let problem = |(name, origins): (&String, &Origins)| {
        // What no file declares cannot be taken out of one.
        let span = origins.get("")?.clone();
        let message = format!("no service uses the {word} `{name}`");
        Some(Problem::new(Code::Unused, message).at(span).hint("use it, or remove it"))
    };
    unused.filter_map(problem).collect()
}

fn networks(service: &Service) -> Vec<&str> {
    match &service.networking.mode {
        NetworkMode::Networks(names) => names.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn volumes(service: &Service) -> impl Iterator<Item = &str> {
    service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { volume, .. } => Some(volume.as_str()),
        _ => None,
    })
}

fn sources(grants: &[Grant]) -> impl Iterator<Item = &str> {
    grants.iter().map(|grant| grant.source.as_str())
}

/// Builds are not part of the typed model, and use secrets, too.
fn secrets_of_builds(model: &Item) -> impl Iterator<Item = &str> {
    let services = model.get("services").map(Item::entries).unwrap_or_default();
    let builds = services.iter().filter_map(|entry| entry.value.get("build")?.get("secrets"));
    let items = builds.flat_map(|secrets| secrets.items());
    items.filter_map(|item| item.text().or_else(|| item.get("source")?.text()))
}
