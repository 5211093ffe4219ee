//! What a key's value asks for, where that depends on what it says.

use std::path::Path;

use keel_names::driver::network_driver as driver_named;

use super::{Permission, Permits};
use crate::files::tidy;
use crate::item::{Entry, Item, Node};
use crate::service::mounts::{clean, is_foreign, is_path, propagation, split};
use crate::span::Span;
use keel_names::capability;

/// What a value asks for, and where.
pub(super) type Wants = Vec<(Span, Permission)>;

/// What a value is judged with.
pub(super) struct Ground<'a> {
    pub(super) permits: &'a Permits,
    pub(super) stack: &'a str,
}

/// Whether a value says something: a `false` and nothing at all do not.
pub(super) fn is_given(item: &Item) -> bool {
    match &item.node {
        Node::List(items) => !items.is_empty(),
        Node::Map(entries) => !entries.is_empty(),
        Node::Scalar(_) => item.text().is_some_and(|text| {
            let text = text.to_ascii_lowercase();
            !matches!(text.as_str(), "" | "false" | "no" | "off" | "n")
        }),
    }
}

/// The items of a list, or the one that stands for a list.
fn each(item: &Item) -> Vec<&Item> {
    match &item.node {
        Node::List(items) => items.iter().collect(),
        _ => vec![item],
    }
}

/// Every text of a list needs it that is not one of these.
fn unless(
    entry: &Entry,
    permission: Permission,
    harmless: impl Fn(&str) -> bool,
    wants: &mut Wants,
) {
    for item in each(&entry.value) {
        if item.text().is_some_and(|text| !text.is_empty() && !harmless(text)) {
            wants.push((item.span.clone(), permission));
        }
    }
}

pub(super) fn capabilities(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    let everybodys = |name: &str| {
        let name = name.to_ascii_uppercase();
        capability::DEFAULT.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
    };
    unless(entry, Permission::Capabilities, everybodys, wants);
}

pub(super) fn options(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    let harmless = |text: &str| {
        let key = text.split(['=', ':']).next().unwrap_or_default();
        key == "no-new-privileges"
    };
    unless(entry, Permission::SecurityOpt, harmless, wants);
}

pub(super) fn network_mode(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    let is_apart = |mode: &str| driver_named(mode).is_some_and(|driver| driver.is_apart);
    let harmless = |mode: &str| is_apart(mode) || mode.starts_with("service:");
    unless(entry, Permission::HostNetwork, harmless, wants);
}

pub(super) fn namespace(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    let harmless = |mode: &str| {
        matches!(mode, "private" | "shareable" | "none") || mode.starts_with("service:")
    };
    unless(entry, Permission::HostPid, harmless, wants);
}

pub(super) fn build_network(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    unless(entry, Permission::HostNetwork, |mode| matches!(mode, "none" | "default"), wants);
}

/// A container that outlives others when memory is short takes the host down with it.
pub(super) fn oom_score(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    let harmless = |text: &str| text.parse::<i64>().is_ok_and(|score| score >= 0);
    unless(entry, Permission::Privileged, harmless, wants);
}

pub(super) fn others_mounts(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    unless(entry, Permission::HostPaths, |text| !text.starts_with("container:"), wants);
}

/// Where a build's cache is kept: `type=local` is a folder of the host.
pub(super) fn cache(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    unless(entry, Permission::HostPaths, |text| !text.contains('='), wants);
}

/// A path, or several, or names with one each.
pub(super) fn path(entry: &Entry, ground: &Ground<'_>, wants: &mut Wants) {
    let named = entry.value.entries().iter().map(|entry| &entry.value);
    for item in each(&entry.value).into_iter().chain(named) {
        let Some(text) = item.text() else { continue };
        let elsewhere = text.contains("://") || text.starts_with("git@");
        if !elsewhere && ground.is_outside(text, &item.base) {
            wants.push((item.span.clone(), Permission::HostPaths));
        }
    }
}

impl Ground<'_> {
    /// Whether it is anything but a relative path that stays in what is the stacks' own.
    fn is_outside(&self, text: &str, base: &Path) -> bool {
        let relative = Path::new(text).is_relative() && !text.starts_with('~') && !is_foreign(text);
        !relative || !self.permits.holds(&tidy(&base.join(text)))
    }
}

pub(super) fn mounts(entry: &Entry, ground: &Ground<'_>, wants: &mut Wants) {
    for item in each(&entry.value) {
        match item.text() {
            Some(text) => short_mount(text, item, ground, wants),
            None => long_mount(item, ground, wants),
        }
    }
}

fn short_mount(text: &str, item: &Item, ground: &Ground<'_>, wants: &mut Wants) {
    let (source, target, options) = match split(text)[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options, ..] => (source, target, options),
        [] => return,
    };
    let travels = options.split(',').any(is_shared);
    if (is_path(source) && ground.is_outside(source, &item.base)) || travels {
        wants.push((item.span.clone(), Permission::HostPaths));
    }
    covers_the_kernel(target, &item.span, wants);
}

fn long_mount(item: &Item, ground: &Ground<'_>, wants: &mut Wants) {
    let text = |key: &str| item.get(key).and_then(Item::text).unwrap_or_default();
    let place = |key: &str| item.entry(key).map_or(&item.span, Entry::place).clone();
    match text("type") {
        "bind" if ground.is_outside(text("source"), &item.base) => {
            wants.push((place("source"), Permission::HostPaths));
        }
        "bind" | "volume" | "tmpfs" | "image" => {}
        _ => wants.push((place("type"), Permission::HostPaths)),
    }
    let travels = item.get("bind").and_then(|bind| bind.entry("propagation"));
    if let Some(word) = travels.filter(|word| word.value.text().is_some_and(is_shared)) {
        wants.push((word.place().clone(), Permission::HostPaths));
    }
    covers_the_kernel(text("target"), &place("target"), wants);
}

/// Whether mounts that are made inside of the container, or outside, get to the other side.
fn is_shared(word: &str) -> bool {
    propagation(word).is_some() && !matches!(word, "private" | "rprivate")
}

/// What is mounted over the kernel's own file systems takes away what masks them.
fn covers_the_kernel(target: &str, at: &Span, wants: &mut Wants) {
    let target = clean(target);
    let target = Path::new(&target);
    let covered = ["/proc", "/sys"].iter().any(|kernel| target.starts_with(kernel));
    if covered || target == Path::new("/dev") {
        wants.push((at.clone(), Permission::Privileged));
    }
}

pub(super) fn tmpfs(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    for item in each(&entry.value) {
        let target = item.text().and_then(|text| text.split(':').next()).unwrap_or_default();
        covers_the_kernel(target, &item.span, wants);
    }
}

pub(super) fn configs(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    grants(entry, "/", wants);
}

pub(super) fn secrets(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    grants(entry, "/run/secrets", wants);
}

/// One without a target is called like its source.
fn grants(entry: &Entry, folder: &str, wants: &mut Wants) {
    for item in each(&entry.value) {
        let written = item.get("target").or(item.get("source")).unwrap_or(item);
        let target = Path::new(folder).join(written.text().unwrap_or_default());
        covers_the_kernel(&target.to_string_lossy(), &written.span, wants);
    }
}

pub(super) fn network_driver(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    let harmless = |name: &str| driver_named(name).is_some_and(|driver| driver.is_apart);
    unless(entry, Permission::HostNetwork, harmless, wants);
}

pub(super) fn volume_driver(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    unless(entry, Permission::HostPaths, |driver| matches!(driver, "local" | "default"), wants);
}

/// A subnet of addresses that are others' takes the host's own traffic to them.
pub(super) fn subnet(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    unless(entry, Permission::HostNetwork, is_private, wants);
}

fn is_private(subnet: &str) -> bool {
    let (address, length) = subnet.split_once('/').unwrap_or((subnet, "32"));
    let Ok(length) = length.parse::<u8>() else { return false };
    match address.parse() {
        Ok(std::net::IpAddr::V4(v4)) => match v4.octets() {
            [10, ..] => length >= 8,
            [172, second, ..] if (16..32).contains(&second) => length >= 12,
            [192, 168, ..] => length >= 16,
            [100, second, ..] if (64..128).contains(&second) => length >= 10,
            _ => false,
        },
        Ok(std::net::IpAddr::V6(v6)) => v6.segments()[0] & 0xfe00 == 0xfc00 && length >= 7,
        Err(_) => false,
    }
}

/// Volumes that are not the stack's own, by being external or by another's name: their data is
/// somebody's.
pub(super) fn volumes(entry: &Entry, ground: &Ground<'_>, wants: &mut Wants) {
    let own = format!("{}_", ground.stack);
    for volume in entry.value.entries() {
        let external = volume.value.entry("external").filter(|entry| is_given(&entry.value));
        let named = volume.value.entry("name");
        let foreign = named.filter(|entry| {
            entry.value.text().is_some_and(|name| !name.is_empty() && !name.starts_with(&own))
        });
        if let Some(entry) = external.or(foreign) {
            wants.push((entry.place().clone(), Permission::HostPaths));
        }
    }
}

/// Docker's own network of this name is no network.
pub(super) fn networks(entry: &Entry, _: &Ground<'_>, wants: &mut Wants) {
    for network in entry.value.entries() {
        let external = network.value.entry("external").filter(|entry| is_given(&entry.value));
        let old = external.and_then(|entry| entry.value.get("name")).and_then(Item::text);
        let name = network.value.get("name").and_then(Item::text).or(old);
        let name = name.or(external.map(|_| network.key.as_str()));
        if name == Some("host") {
            wants.push((network.at.clone(), Permission::HostNetwork));
        }
    }
}

#[cfg(test)]
mod tests;
