//! Placement constraints: which nodes a service may run on, as Compose files write them and as nodes answer
//! them. A new key is a variant of [`Key`], its row in [`NAMED`], and its answer in [`Constraint::holds`].
//!
//! # Invariants
//! - What a node does not report is unknown: nothing is concluded from it.
//! - Keys and values are compared without regard to case, but for the names of labels.

use crate::address::{address, subnet};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// `KEY == VALUE` or `KEY != VALUE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Constraint {
    key: Key,
    /// `==`, not `!=`.
    is: bool,
    /// Without the quotes around it.
    value: String,
}

/// What a constraint asks of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id,
    Hostname,
    Role,
    Ip,
    Os,
    Architecture,
    Label(String),
    EngineLabel(String),
}

/// Keys without a name of the user's.
const NAMED: &[(&str, Key)] = &[
    ("node.id", Key::Id),
    ("node.hostname", Key::Hostname),
    ("node.role", Key::Role),
    ("node.ip", Key::Ip),
    ("node.platform.os", Key::Os),
    ("node.platform.arch", Key::Architecture),
];

const LABELS: &str = "node.labels.";
const ENGINE_LABELS: &str = "engine.labels.";

/// The roles of nodes.
const ROLES: [&str; 2] = ["manager", "worker"];

/// What a node can be asked for. An empty text, or no address, is unknown.
#[derive(Debug, Clone, Copy)]
pub struct NodeAttributes<'a> {
    /// Its identity.
    pub id: &'a str,
    /// Its machine's host name.
    pub hostname: &'a str,
    /// `manager` or `worker`.
    pub role: &'a str,
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// `linux`.
    pub os: &'a str,
    /// `amd64`, `arm64`.
    pub architecture: &'a str,
    /// What people labeled it with.
    pub labels: &'a BTreeMap<String, String>,
    /// What its engine was configured with.
    pub engine_labels: &'a BTreeMap<String, String>,
}

impl Constraint {
    /// Reads one. The first operator from the left counts, since a value may hold another.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let operators =
            [text.find("==").map(|at| (at, true)), text.find("!=").map(|at| (at, false))];
        let Some((at, is)) = operators.into_iter().flatten().min() else {
            return Err(match text.contains('=') {
                true => ConstraintError::SingleEquals,
                false => ConstraintError::NoOperator,
            });
        };
        let key = Key::parse(text[..at].trim())?;
        let value = unquoted(text[at + 2..].trim());
        if value.is_empty() {
            return Err(ConstraintError::NoValue);
        }
        key.check(value)?;
        Ok(Self { key, is, value: value.to_owned() })
    }

    /// Nodes of an operating system, and of an architecture if one is given.
    pub(crate) fn of_platform(os: &str, architecture: Option<&str>) -> Vec<Self> {
        let is = |key, value: &str| Self { key, is: true, value: value.to_owned() };
        let architecture = architecture.map(|value| is(Key::Architecture, value));
        std::iter::once(is(Key::Os, os)).chain(architecture).collect()
    }

    /// Whether a node is as this asks. `None` if that is unknown.
    #[must_use]
    pub fn holds(&self, node: &NodeAttributes<'_>) -> Option<bool> {
        let same = match &self.key {
            Key::Id => self.is_value(node.id),
            Key::Hostname => self.is_value(node.hostname),
            Key::Role => self.is_value(node.role),
            Key::Os => self.is_value(node.os),
            Key::Architecture => self.is_architecture(node.architecture),
            Key::Ip => self.is_address(node.addresses),
            // A label that is not there is as one that is empty.
            Key::Label(name) => Some(self.is_label(node.labels.get(name))),
            Key::EngineLabel(name) => Some(self.is_label(node.engine_labels.get(name))),
        };
        Some(same? == self.is)
    }

    fn is_value(&self, of_node: &str) -> Option<bool> {
        (!of_node.is_empty()).then(|| same(of_node, &self.value))
    }

    fn is_architecture(&self, of_node: &str) -> Option<bool> {
        (!of_node.is_empty()).then(|| same(architecture(of_node), architecture(&self.value)))
    }

    fn is_label(&self, of_node: Option<&String>) -> bool {
        same(of_node.map_or("", String::as_str), &self.value)
    }

    fn is_address(&self, of_node: &[IpAddr]) -> Option<bool> {
        let within = addresses(&self.value)?;
        (!of_node.is_empty()).then(|| of_node.iter().any(|address| within.contains(address)))
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, ConstraintError> {
        if let Some((_, key)) = NAMED.iter().find(|(name, _)| same(name, text)) {
            return Ok(key.clone());
        }
        let label = after(text, LABELS).map(|name| Self::Label(name.to_owned()));
        let label =
            label.or_else(|| after(text, ENGINE_LABELS).map(|n| Self::EngineLabel(n.to_owned())));
        label.ok_or_else(|| ConstraintError::UnknownKey { key: text.to_owned() })
    }

    /// A value that no node can have is a slip of the pen.
    fn check(&self, value: &str) -> Result<(), ConstraintError> {
        let written = || value.to_owned();
        match self {
            Self::Role if !ROLES.iter().any(|role| same(role, value)) => {
                Err(ConstraintError::NoRole { value: written() })
            }
            Self::Ip if addresses(value).is_none() => {
                Err(ConstraintError::NoAddress { value: written() })
            }
            _ => Ok(()),
        }
    }
}

/// The name of a node's label in `node.labels.NAME`, which tasks can be spread over.
#[must_use]
pub fn node_label(text: &str) -> Option<&str> {
    after(text.trim(), LABELS)
}

/// Every key, for whoever mistyped one.
pub fn keys() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name).chain(["node.labels.NAME", "engine.labels.NAME"])
}

/// What follows a beginning, whose case does not count.
fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(beginning.len())?;
    (same(start, beginning) && !rest.is_empty()).then_some(rest)
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

/// The kernel's words for what images call otherwise.
fn architecture(word: &str) -> &str {
    match word {
        word if same(word, "x86_64") => "amd64",
        word if same(word, "aarch64") => "arm64",
        word => word,
    }
}

fn addresses(text: &str) -> Option<IpNet> {
    subnet(text).or_else(|| address(text).map(IpNet::from))
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Why a text is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// There is no operator.
    #[error("it has no operator")]
    NoOperator,
    /// It has `=` alone.
    #[error("`=` is not an operator")]
    SingleEquals,
    /// Nodes have no such key.
    #[error("nodes have no `{key}`")]
    UnknownKey {
        /// What was written.
        key: String,
    },
    /// Nothing follows the operator.
    #[error("it has no value")]
    NoValue,
    /// Nodes have no such role.
    #[error("`{value}` is not a role")]
    NoRole {
        /// What was written.
        value: String,
    },
    /// It is neither an address nor a subnet.
    #[error("`{value}` is neither an IP address nor a subnet")]
    NoAddress {
        /// What was written.
        value: String,
    },
}

impl ConstraintError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoOperator => "write `KEY == VALUE` or `KEY != VALUE`".into(),
            Self::SingleEquals => "did you mean `==`?".into(),
            Self::UnknownKey { .. } => {
                format!(
                    "the keys are {}",
                    keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
                )
            }
            Self::NoValue => "write the value after the operator".into(),
            Self::NoRole { .. } => "a node is a `manager` or a `worker`".into(),
            Self::NoAddress { .. } => "write one such as `10.0.0.5` or `10.0.0.0/24`".into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) => write!(f, "{LABELS}{name}"),
            Self::EngineLabel(name) => write!(f, "{ENGINE_LABELS}{name}"),
            named => {
                let row = NAMED.iter().find(|(_, key)| key == named);
                f.write_str(row.map_or("", |(name, _)| name))
            }
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.is { "==" } else { "!=" };
        // Quotes of its own would be stripped when it is read again.
        let quote = if unquoted(&self.value) == self.value { "" } else { "\"" };
        write!(f, "{} {operator} {quote}{}{quote}", self.key, self.value)
    }
}

impl TryFrom<String> for Constraint {
    type Error = ConstraintError;
    fn try_from(text: String) -> Result<Self, ConstraintError> {
        Self::parse(&text)
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Option<bool> {
        let labels = [("zone".to_owned(), "A".to_owned()), ("Zone".to_owned(), "upper".to_owned())];
        let engine = [("storage".to_owned(), "ssd".to_owned())];
        let node = NodeAttributes {
            id: "n7",
            hostname: "alpha",
            role: "manager",
            addresses: &["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
            os: "linux",
            architecture: "amd64",
            labels: &labels.into(),
            engine_labels: &engine.into(),
        };
        Constraint::parse(text).unwrap().holds(&node)
    }

    #[test]
    fn a_node_is_asked_by_every_key() {
        let cases = [
            ("node.id == N7", true),
            ("node.id!=n7", false),
            ("node.hostname==alpha", true),
            ("NODE.Hostname == ALPHA", true),
            ("node.hostname == alph", false),
            ("node.hostname == alph*", false),
            ("node.role == manager", true),
            ("node.role != worker", true),
            ("node.ip == 10.0.0.5", true),
            ("node.ip == 10.0.0.0/24", true),
            ("node.ip != 10.0.1.0/24", true),
            ("node.ip == fd00::/64", true),
            ("node.platform.os == linux", true),
            ("node.platform.arch == x86_64", true),
            ("node.platform.arch != arm64", true),
            ("node.labels.zone == a", true),
            ("node.labels.zone == \"a\"", true),
            ("node.labels.zone == 'a'", true),
            ("node.labels.Zone == a", false),
            ("node.labels.missing == a", false),
            ("node.labels.missing != a", true),
            ("engine.labels.storage == ssd", true),
            ("engine.labels.storage != ssd", false),
            ("node.labels.zone != b==a", true),
            ("node.labels.zone != a!=b", true),
        ];
        for (text, expected) in cases {
            assert_eq!(holds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_a_node_does_not_report_is_unknown() {
        let (none, no_labels) = (&[][..], BTreeMap::new());
        let node = NodeAttributes {
            id: "",
            hostname: "",
            role: "",
            addresses: none,
            os: "",
            architecture: "",
            labels: &no_labels,
            engine_labels: &no_labels,
        };
        for key in ["id", "hostname", "platform.os", "platform.arch"] {
            for operator in ["==", "!="] {
                let text = format!("node.{key} {operator} x");
                assert_eq!(Constraint::parse(&text).unwrap().holds(&node), None, "{text}");
            }
        }
        assert_eq!(Constraint::parse("node.ip != 10.0.0.1").unwrap().holds(&node), None);
    }

    #[test]
    fn a_slip_of_the_pen_is_told() {
        let cases = [
            ("node.role = manager", "`=` is not an operator", "did you mean `==`?"),
            ("node.role", "it has no operator", "write `KEY == VALUE` or `KEY != VALUE`"),
            ("node.role == ", "it has no value", "write the value after the operator"),
            ("node.role == \"\"", "it has no value", "write the value after the operator"),
            ("node.role == boss", "`boss` is not a role", "a node is a `manager` or a `worker`"),
            (
                "node.ip == 10.0.0",
                "`10.0.0` is neither an IP address nor a subnet",
                "write one such as `10.0.0.5` or `10.0.0.0/24`",
            ),
            (
                "node.label.zone == a",
                "nodes have no `node.label.zone`",
                "the keys are `node.id`, `node.hostname`, `node.role`, `node.ip`, `node.platform.os`, \
                 `node.platform.arch`, `node.labels.NAME`, `engine.labels.NAME`",
            ),
            (
                "node.labels. == a",
                "nodes have no `node.labels.`",
                "the keys are `node.id`, `node.hostname`, `node.role`, `node.ip`, `node.platform.os`, \
                 `node.platform.arch`, `node.labels.NAME`, `engine.labels.NAME`",
            ),
        ];
        for (text, why, hint) in cases {
            let error = Constraint::parse(text).unwrap_err();
            assert_eq!((&*error.to_string(), &*error.hint()), (why, hint), "{text}");
        }
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for text in
            ["node.ip != 10.0.0.0/8", "node.labels.A-b == it's", "engine.labels.x == '\"a\"'"]
        {
            let constraint = Constraint::parse(text).unwrap();
            let stored = serde_json::to_string(&constraint).unwrap();
            assert_eq!(
                serde_json::from_str::<Constraint>(&stored).unwrap(),
                constraint,
                "{stored}"
            );
        }
        let shown = Constraint::parse(" NODE.ROLE==manager ").unwrap().to_string();
        assert_eq!(shown, "node.role == manager");
    }
}
