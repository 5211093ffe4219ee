//! Top-level networks, volumes, configs and secrets: items to their types.

use std::net::IpAddr;

use keel_names::address::subnet;
use keel_names::driver::{self, NetworkDriver, declarable};

use crate::advice;
use crate::code::Code;
use crate::decode::{Field, Scope};
use crate::environment::Environment;
use crate::item::{Entry, Node};
use crate::judge::judge;
use crate::keys::Place;
use crate::problem::{Problem, Problems};
use crate::stack::{Config, Content, HostPath, Network, Pool, Volume};

/// Decodes one entry of a section in its own scope.
fn scoped<T>(
    section: &str,
    word: &str,
    entry: &Entry,
    problems: &Problems,
    decode: impl Fn(&Field<'_>) -> T,
) -> (T, crate::span::Origins, Vec<crate::stack::Held>) {
    let scope = Scope::new(format!("{word} `{}`", entry.key), problems);
    let field = Field::root(&scope, &entry.value, &entry.at);
    scope.origin("", &entry.at);
    if !matches!(entry.value.node, Node::Map(_)) && !entry.value.is_null() {
        wrong(&field, section, &entry.key);
    }
    if let Some(place) = Place::root().key(section).and_then(|place| place.key(&entry.key)) {
        judge(&field, place);
    }
    let value = decode(&field);
    let (origins, held) = scope.finish();
    (value, origins, held)
}

/// The error that an entry is no mapping: it may be a key of the entry above.
fn wrong(field: &Field<'_>, section: &str, key: &str) {
    let message = format!("{} must be a mapping, and is {}", field.name(), field.item.what());
    let problem = Problem::new(Code::WrongType, message).at(field.place().clone());
    let path = field.item.text().filter(|text| text.contains(['.', '/']));
    let file = path.filter(|_| matches!(section, "configs" | "secrets"));
    let file = file.map(|path| format!("write `{key}: {{file: {path}}}`"));
    let hint = slipped(section, key).or(file).or_else(|| advice::of_shape("a mapping", field.item));
    field.scope.add(Problem { hint, ..problem });
}

/// An entry that is called like a key of entries is a key that has slipped out of one.
pub(crate) fn slipped(section: &str, name: &str) -> Option<String> {
    let entry = Place::root().key(section)?.key("*")?;
    let word = section.trim_end_matches('s');
    entry.key(name)?;
    Some(format!("`{name}` belongs to a {word}: check the indentation"))
}

/// `name`, and whether it is external: the old form gives the name there.
fn identity(field: &Field<'_>) -> (Option<String>, bool) {
    let name = field.given("name").and_then(|field| field.text());
    let Some(external) = field.get("external") else { return (name, false) };
    if !matches!(external.item.node, Node::Map(_)) {
        return (name, external.boolean().unwrap_or_default());
    }
    let old = external.get("name").and_then(|field| field.text());
    let problem =
        Problem::new(Code::OldExternal, format!("{} by name is an old form", external.name()));
    let problem =
        problem.at(external.key.clone()).hint("write `external: true`, and `name` beside it");
    external.scope.add(problem);
    if let (Some(name), Some(old)) = (&name, &old)
        && name != old
    {
        external
            .refuse(Code::Conflict, format!("{} and `name` say different things", external.name()));
    }
    (name.or(old), true)
}

/// That of a network or volume: what it is called on the host becomes the name of a folder and a file.
fn named(field: &Field<'_>) -> (Option<String>, bool) {
    let identity = identity(field);
    let sound = |name: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed)
    };
    if let Some(name) = identity.0.as_ref().filter(|name| !sound(name)) {
        let message = format!(
            "`{name}` is not a valid name: use letters, digits, `.`, `_` and `-`, a letter or digit first"
        );
        field.given("name").as_ref().unwrap_or(field).refuse(Code::BadName, message);
    }
    identity
}

/// Decodes one of `networks`.
pub(crate) fn network(entry: &Entry, problems: &Problems) -> Network {
    let (network, origins, held) = scoped("networks", "network", entry, problems, |field| {
        let flag = |key| field.get(key).and_then(|field| field.boolean());
        let (name, external) = named(field);
        let ipam = field.get("ipam");
        let below = |key: &str| ipam.as_ref().and_then(|ipam| ipam.get(key));
        let driver = field.get("driver").and_then(|field| network_driver(&field));
        Network {
            name,
            external,
            driver,
            driver_opts: field.get("driver_opts").map(|field| field.pairs()).unwrap_or_default(),
            internal: flag("internal").unwrap_or_default(),
            attachable: flag("attachable").unwrap_or_default(),
            enable_ipv4: flag("enable_ipv4"),
            enable_ipv6: flag("enable_ipv6"),
            ipam_driver: below("driver").and_then(|field| driver_of_addresses(&field)),
            pools: below("config")
                .map(|field| field.list().iter().map(pool).collect())
                .unwrap_or_default(),
            labels: field.get("labels").map(|field| field.pairs()).unwrap_or_default(),
            ..Network::default()
        }
    });
    Network { origins, held, ..network }
}

/// A network's driver; holds those that no node has, and those that make no networks.
fn network_driver(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match driver::network_driver(&text) {
        Some(driver) if driver.is_declared => {}
        Some(NetworkDriver { name, .. }) => field.hold(&format!(
            "driver `{name}` makes no networks: set `network_mode: {name}` for a service"
        )),
        None => {
            let all: Vec<_> = declarable().map(|name| format!("`{name}`")).collect();
            field.hold(&format!("there is no driver `{text}` here, only {}", all.join(", ")));
        }
    }
    Some(text)
}

/// A driver; holds the ones that are not ours.
fn one_of(field: &Field<'_>, ours: &[&str]) -> Option<String> {
    let driver = field.text()?;
    if !ours.contains(&driver.as_str()) {
        field.hold(&format!("there is no driver `{driver}` here"));
    }
    Some(driver)
}

fn driver_of_addresses(field: &Field<'_>) -> Option<String> {
    one_of(field, &["default"])
}

fn pool(field: &Field<'_>) -> Pool {
    let range = |key| {
        field.given(key).and_then(|field| field.parsed("a subnet such as `10.5.0.0/16`", subnet))
    };
    let address =
        |field: &Field<'_>| field.parsed("an IP address", |text| text.parse::<IpAddr>().ok());
    let spare = field.get("aux_addresses").map(|field| field.entries()).unwrap_or_default();
    let (subnet, gateway) = (range("subnet"), field.given("gateway"));
    let gateway = gateway.and_then(|field| address(&field));
    for (key, address) in [("subnet", subnet.map(|subnet| subnet.addr())), ("gateway", gateway)] {
        let field = field.given(key).filter(|_| address.is_some_and(|address| address.is_ipv6()));
        field.into_iter().for_each(|field| field.hold("IPv6 networks are not supported"));
    }
    Pool {
        subnet,
        ip_range: range("ip_range"),
        gateway,
        aux_addresses: spare
            .into_iter()
            .filter_map(|(host, field)| Some((host.to_owned(), address(&field)?)))
            .collect(),
    }
}

/// Decodes one of `volumes`.
pub(crate) fn volume(entry: &Entry, problems: &Problems) -> Volume {
    let (volume, origins, held) = scoped("volumes", "volume", entry, problems, |field| {
        let (name, external) = named(field);
        let beside = ["driver", "driver_opts", "labels"].into_iter().find_map(|key| field.get(key));
        if let (true, Some(other)) = (external, &beside) {
            let message = format!("{} cannot be used with `external`", other.name());
            other.refuse(Code::Conflict, message);
        }
        Volume {
            name,
            external,
            driver: field.get("driver").and_then(|field| one_of(&field, &["local"])),
            driver_opts: field.get("driver_opts").map(|field| field.pairs()).unwrap_or_default(),
            labels: field.get("labels").map(|field| field.pairs()).unwrap_or_default(),
            ..Volume::default()
        }
    });
    Volume { origins, held, ..volume }
}

/// Decodes one of `configs`, or of `secrets`.
pub(crate) fn config(
    section: &str,
    entry: &Entry,
    environment: &Environment,
    problems: &Problems,
) -> Config {
    let word = section.trim_end_matches('s');
    let ((name, content), origins, held) = scoped(section, word, entry, problems, |field| {
        let (name, external) = identity(field);
        let content = match (external, field.get("external")) {
            (true, Some(external)) => {
                external.hold("there is no store of configs and secrets");
                None
            }
            _ => content(field, section == "configs", environment),
        };
        (name, content.unwrap_or(Content::External))
    });
    Config { name, content, origins, held }
}

fn content(field: &Field<'_>, inline: bool, environment: &Environment) -> Option<Content> {
    if !matches!(field.item.node, Node::Map(_)) && !field.item.is_null() {
        return None;
    }
    let keys: &[&str] =
        if inline { &["file", "content", "environment"] } else { &["file", "environment"] };
    let given: Vec<_> = keys.iter().filter_map(|key| field.get(key)).collect();
    let words = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let source = match given.as_slice() {
        [source] => source,
        [] if field.get("driver").is_some() => return Some(Content::External),
        [] => {
            field.refuse(Code::NoContent, format!("{} needs one of {words}", field.name()));
            return None;
        }
        [.., second] => {
            let message = format!("{} has more than one of {words}", field.name());
            let problem = Problem::new(Code::Conflict, message).at(second.key.clone());
            field.scope.add(problem);
            return None;
        }
    };
    let text = source.text()?;
    Some(match source.path.as_str() {
        "file" => Content::File(HostPath { written: text, base: source.item.base.to_path_buf() }),
        "content" => Content::Inline(text),
        _ => match environment.get(&text) {
            Some(variable) => {
                Content::Environment { value: variable.value.clone(), variable: text }
            }
            None => {
                source.refuse(
                    Code::UnsetContent,
                    format!("the variable `{text}` of {} is not set", field.name()),
                );
                return None;
            }
        },
    })
}
