//! What differs from what was applied: of which thing, which part of it, and how that came.
//!
//! # Invariants
//! - What is typed here prints as [`Finding::field`] and [`Finding::cause`] have always been printed, and is
//!   read back from that: these texts are the form in records and in `--format json`.
//! - Nobody takes such a text apart but this module.

use crate::fields::{FIELDS, Field, row_of};
use crate::{Protocol, Slot, StackName, TaskId, Value};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A difference between what was applied and what is: drift. Compared with what this kernel
/// would hold for the applied value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct Finding {
    /// What differs.
    pub subject: FindingSubject,
    /// What of it.
    pub path: FieldPath,
    /// What was applied, as this kernel would hold it.
    pub applied: Value,
    /// What is.
    pub observed: Value,
    /// What is known of how it came.
    pub cause: Option<FindingCause>,
    /// It healed by itself already (a restart by policy); shown, but not counted.
    pub fixed: bool,
}

impl Finding {
    /// What kind of thing differs.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.subject {
            FindingSubject::Task { .. } => Level::Task,
            FindingSubject::Network { .. } | FindingSubject::Networks { .. } => Level::Network,
            FindingSubject::Volume { .. } => Level::Volume,
            FindingSubject::Node => Level::Node,
        }
    }

    /// The stack whose thing it is, where it belongs to no task.
    #[must_use]
    pub fn stack(&self) -> Option<&StackName> {
        match &self.subject {
            FindingSubject::Network { stack, .. }
            | FindingSubject::Networks { stack }
            | FindingSubject::Volume { stack, .. } => stack.as_ref(),
            FindingSubject::Task { .. } | FindingSubject::Node => None,
        }
    }

    /// The row of the field table, where there is one.
    #[must_use]
    pub fn row(&self) -> Option<Field> {
        self.path.row()
    }

    /// The field as people see it and records have it: `mem_limit`, `shop_default: bridge kl3f9c2a-12ab34`.
    #[must_use]
    pub fn field(&self) -> FindingField {
        let of = match &self.subject {
            FindingSubject::Network { name, .. } | FindingSubject::Volume { name, .. } => {
                Some(name.clone())
            }
            FindingSubject::Task { .. }
            | FindingSubject::Networks { .. }
            | FindingSubject::Node => None,
        };
        FindingField { of, path: self.path.clone() }
    }
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingSubject {
    /// A task.
    Task {
        /// Which; `None` where a record of an older version is read, which has its task beside it.
        id: Option<TaskId>,
        /// Its slot, where it has one.
        slot: Option<Slot>,
    },
    /// A network.
    Network {
        /// Its full name.
        name: String,
        /// Whose it is.
        stack: Option<StackName>,
    },
    /// What all networks share: the firewall, the process that answers names.
    Networks {
        /// A stack that has a network here, and is not as it was applied for that.
        stack: Option<StackName>,
    },
    /// A volume.
    Volume {
        /// Its full name.
        name: String,
        /// Whose it is.
        stack: Option<StackName>,
    },
    /// The node itself.
    Node,
}

/// What kind of thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// A field of a task's container.
    Task,
    /// A network, or the firewall.
    Network,
    /// A volume.
    Volume,
    /// The node.
    Node,
}

/// The part of a thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FieldPath {
    /// A field of the table: `mem_limit`.
    Row(Field),
    /// One key of it: `sysctls.net.core.somaxconn`.
    Key(Field, String),
    /// One item of it: `ports[0]`.
    Item(Field, usize),
    /// The task's process: `process`.
    Process,
    /// What leads to a published port: `published port 127.0.0.1:8080/tcp`.
    PublishedPort {
        /// Address of the host; `None` is all.
        host_ip: Option<IpAddr>,
        /// Port on the host.
        published: u16,
        /// Transport.
        protocol: Protocol,
    },
    /// A network's bridge: `bridge kl3f9c2a-12ab34`.
    Bridge(String),
    /// Its address: `address of bridge kl3f9c2a-12ab34`.
    BridgeAddress(String),
    /// The driver that made a network: `driver macvlan`.
    NetworkDriver(String),
    /// A parameter of the kernel, by its path below `/proc/sys`.
    Kernel(String),
    /// The firewall's table: `firewall table`.
    FirewallTable,
    /// A chain of it: `firewall chain forward`.
    FirewallChain(String),
    /// A rule, by its comment: ``firewall rule `same` in chain forward``.
    FirewallRule {
        /// Its comment.
        rule: String,
        /// Its chain.
        chain: String,
    },
    /// A set: `firewall set same`.
    FirewallSet(String),
    /// What is in it: `elements of firewall set same`.
    FirewallElements(String),
    /// Our rules in another program's chain: `accept rules for our bridges in chain FORWARD of table filter`.
    AcceptRules {
        /// That chain.
        chain: String,
        /// Its table.
        table: String,
    },
    /// The process that answers names: `process keel net`.
    NameServer,
    /// What this version does not know, as it was recorded.
    Other(String),
}

impl FieldPath {
    /// What holds this part of a field: `ports` of `ports[0]`.
    #[must_use]
    pub fn holder(&self) -> Option<Self> {
        match self {
            Self::Key(field, key) => {
                let below = key.rfind(['.', '[']).filter(|_| !has_any_keys(*field));
                Some(below.map_or(Self::Row(*field), |at| Self::Key(*field, key[..at].to_owned())))
            }
            Self::Item(field, _) => Some(Self::Row(*field)),
            _ => None,
        }
    }

    /// The row of the field table, where there is one.
    #[must_use]
    pub fn row(&self) -> Option<Field> {
        match self {
            Self::Row(field) | Self::Key(field, _) | Self::Item(field, _) => Some(*field),
            Self::PublishedPort { .. } => Some(Field::Ports),
            _ => None,
        }
    }
}

/// Whether its keys are whatever people like, dots included.
fn has_any_keys(field: Field) -> bool {
    matches!(field, Field::Environment | Field::Labels | Field::Sysctls)
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(field) => f.write_str(row_of(*field).name),
            Self::Key(field, key) => write!(f, "{}.{key}", row_of(*field).name),
            Self::Item(field, index) => write!(f, "{}[{index}]", row_of(*field).name),
            Self::Process => f.write_str("process"),
            Self::PublishedPort { host_ip, published, protocol } => {
                let host = match host_ip {
                    Some(IpAddr::V6(ip)) => format!("[{ip}]:"),
                    Some(IpAddr::V4(ip)) => format!("{ip}:"),
                    None => String::new(),
                };
                write!(f, "published port {host}{published}/{}", word(*protocol))
            }
            Self::Bridge(name) => write!(f, "bridge {name}"),
            Self::BridgeAddress(name) => write!(f, "address of bridge {name}"),
            Self::NetworkDriver(name) => write!(f, "driver {name}"),
            Self::Kernel(path) => write!(f, "/proc/sys/{path}"),
            Self::FirewallTable => f.write_str("firewall table"),
            Self::FirewallChain(name) => write!(f, "firewall chain {name}"),
            Self::FirewallRule { rule, chain } => {
                write!(f, "firewall rule `{rule}` in chain {chain}")
            }
            Self::FirewallSet(name) => write!(f, "firewall set {name}"),
            Self::FirewallElements(name) => write!(f, "elements of firewall set {name}"),
            Self::AcceptRules { chain, table } => {
                write!(f, "accept rules for our bridges in chain {chain} of table {table}")
            }
            Self::NameServer => f.write_str("process keel net"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<String> for FieldPath {
    fn from(text: String) -> Self {
        let read = of_table(&text).or_else(|| of_host(&text));
        // What does not print as it was read is something else.
        read.filter(|path| path.to_string() == text).unwrap_or(Self::Other(text))
    }
}

impl From<&str> for FieldPath {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl FromStr for FieldPath {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

/// A field of the table, with key or index.
fn of_table(text: &str) -> Option<FieldPath> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, below) = text.split_at(end);
    let field = FIELDS.iter().find(|row| row.name == name)?.field;
    if below.is_empty() {
        return Some(FieldPath::Row(field));
    }
    if let Some(key) = below.strip_prefix('.') {
        return Some(FieldPath::Key(field, key.to_owned()));
    }
    let index = below.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    Some(FieldPath::Item(field, index))
}

/// What no specification names.
fn of_host(text: &str) -> Option<FieldPath> {
    let after = |prefix: &str| text.strip_prefix(prefix).map(str::to_owned);
    let named = [
        ("bridge ", FieldPath::Bridge as fn(String) -> FieldPath),
        ("address of bridge ", FieldPath::BridgeAddress),
        ("driver ", FieldPath::NetworkDriver),
        ("/proc/sys/", FieldPath::Kernel),
        ("firewall chain ", FieldPath::FirewallChain),
        ("firewall set ", FieldPath::FirewallSet),
        ("elements of firewall set ", FieldPath::FirewallElements),
    ];
    if let Some(path) = named.iter().find_map(|(prefix, path)| after(prefix).map(path)) {
        return Some(path);
    }
    if let Some(port) = text.strip_prefix("published port ") {
        return published(port);
    }
    if let Some(rest) = text.strip_prefix("firewall rule `") {
        let (rule, chain) = rest.rsplit_once("` in chain ")?;
        return Some(FieldPath::FirewallRule { rule: rule.to_owned(), chain: chain.to_owned() });
    }
    if let Some(rest) = text.strip_prefix("accept rules for our bridges in chain ") {
        let (chain, table) = rest.split_once(" of table ")?;
        return Some(FieldPath::AcceptRules { chain: chain.to_owned(), table: table.to_owned() });
    }
    let fixed = [FieldPath::Process, FieldPath::FirewallTable, FieldPath::NameServer];
    fixed.into_iter().find(|path| path.to_string() == text)
}

/// `127.0.0.1:8080/tcp`.
fn published(text: &str) -> Option<FieldPath> {
    let (address, protocol) = text.rsplit_once('/')?;
    let (host_ip, port) = match address.rsplit_once(':') {
        Some((host_ip, port)) => {
            let host_ip = host_ip.trim_start_matches('[').trim_end_matches(']');
            (Some(host_ip.parse().ok()?), port)
        }
        None => (None, address),
    };
    let mut all = [Protocol::Tcp, Protocol::Udp].into_iter();
    let protocol = all.find(|known| word(*known) == protocol)?;
    Some(FieldPath::PublishedPort { host_ip, published: port.parse().ok()?, protocol })
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// A part with the name of the thing, where it has one: `shop_default: bridge kl3f9c2a-12ab34`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FindingField {
    /// The network or volume.
    pub of: Option<String>,
    /// What of it.
    pub path: FieldPath,
}

impl fmt::Display for FindingField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Some(name) => write!(f, "{name}: {}", self.path),
            None => write!(f, "{}", self.path),
        }
    }
}

impl From<String> for FindingField {
    fn from(text: String) -> Self {
        let whole = FieldPath::from(text.clone());
        match (text.split_once(": "), whole) {
            (Some((name, part)), FieldPath::Other(_)) => {
                Self { of: Some(name.to_owned()), path: part.to_owned().into() }
            }
            (_, path) => Self { of: None, path },
        }
    }
}

impl From<FindingField> for String {
    fn from(field: FindingField) -> Self {
        field.to_string()
    }
}

/// What is known of how a difference came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum FindingCause {
    /// Somebody else ended the process.
    KilledFromOutside {
        /// By this signal, where that is known.
        signal: Option<i32>,
    },
    /// What this version does not know, as it was recorded.
    Other(String),
}

impl fmt::Display for FindingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KilledFromOutside { signal: None } => f.write_str("killed from outside"),
            Self::KilledFromOutside { signal: Some(number) } => {
                match keel_names::signal::name(*number) {
                    Some(name) => write!(f, "killed by {name} from outside"),
                    None => write!(f, "killed by signal {number} from outside"),
                }
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<String> for FindingCause {
    fn from(text: String) -> Self {
        let none = Self::KilledFromOutside { signal: None };
        if none.to_string() == text {
            return none;
        }
        let named =
            text.strip_prefix("killed by ").and_then(|rest| rest.strip_suffix(" from outside"));
        let number = named.and_then(|name| match name.strip_prefix("signal ") {
            Some(number) => number.parse().ok(),
            None => keel_names::signal::number(name),
        });
        let read = number.map(|signal| Self::KilledFromOutside { signal: Some(signal) });
        read.filter(|cause| cause.to_string() == text).unwrap_or(Self::Other(text))
    }
}

impl From<FindingCause> for String {
    fn from(cause: FindingCause) -> Self {
        cause.to_string()
    }
}

/// A finding as it is stored and shown. What an older version wrote has no subject.
#[derive(Serialize, Deserialize)]
struct Record {
    level: Level,
    #[serde(default)]
    stack: Option<StackName>,
    #[serde(default)]
    row: Option<Field>,
    field: FindingField,
    applied: Value,
    observed: Value,
    #[serde(default)]
    cause: Option<FindingCause>,
    #[serde(default)]
    fixed: bool,
    #[serde(default)]
    subject: Option<FindingSubject>,
}

impl From<Finding> for Record {
    fn from(finding: Finding) -> Self {
        Self {
            level: finding.level(),
            stack: finding.stack().cloned(),
            row: finding.row(),
            field: finding.field(),
            applied: finding.applied,
            observed: finding.observed,
            cause: finding.cause,
            fixed: finding.fixed,
            subject: Some(finding.subject),
        }
    }
}

impl From<Record> for Finding {
    fn from(record: Record) -> Self {
        let Record { level, stack, field, applied, observed, cause, fixed, subject, row: _ } =
            record;
        let FindingField { of, path } = field;
        let subject = subject.unwrap_or(match (level, of) {
            (Level::Task, _) => FindingSubject::Task { id: None, slot: None },
            (Level::Network, Some(name)) => FindingSubject::Network { name, stack },
            (Level::Network, None) => FindingSubject::Networks { stack },
            (Level::Volume, name) => {
                FindingSubject::Volume { name: name.unwrap_or_default(), stack }
            }
            (Level::Node, _) => FindingSubject::Node,
        });
        Self { subject, path, applied, observed, cause, fixed }
    }
}

#[cfg(test)]
mod tests;
