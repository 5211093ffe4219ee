//! The OCI runtime specification, as far as this runtime acts on it: what `config.json` holds.
//!
//! # Invariants
//! - Names and shapes are the specification's, so that others' tools can read what is stored.
//! - What is unknown is ignored, and what is missing has its default.

mod resources;

pub use resources::{DeviceAccess, DeviceKind, Resources};

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Of the specification.
    #[serde(rename = "ociVersion")]
    pub version: String,
    /// Its root.
    pub root: Root,
    /// In the order in which they are mounted.
    pub mounts: Vec<Mount>,
    /// What runs.
    pub process: Process,
    /// Its host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What else there is to say.
    pub annotations: BTreeMap<String, String>,
    /// Namespaces, limits, restrictions.
    pub linux: Linux,
}

/// The root.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it cannot be written to.
    pub readonly: bool,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// Where: an absolute path inside.
    pub destination: PathBuf,
    /// Which file system, or `bind`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// As `mount -o` has them.
    pub options: Vec<String>,
    /// Of a bind: a folder on the way to its source that no link in it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beneath: Option<PathBuf>,
}

impl Mount {
    /// Its options.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(String::as_str)
    }
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// On a terminal of its own.
    pub terminal: bool,
    /// As whom.
    pub user: User,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// In which folder.
    pub cwd: PathBuf,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// How much.
    pub rlimits: Vec<Rlimit>,
    /// No gain of privileges by executing.
    pub no_new_privileges: bool,
}

/// Who a process is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// Number.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Name; wins over the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// Capabilities by name: `CAP_CHOWN`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// What it could ever have.
    pub bounding: Vec<String>,
    /// What it has.
    pub effective: Vec<String>,
    /// What it may take.
    pub permitted: Vec<String>,
    /// What it hands on to programs that inherit.
    pub inheritable: Vec<String>,
    /// What it hands on to all programs.
    pub ambient: Vec<String>,
}

/// A limit of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it cannot exceed.
    pub hard: u64,
    /// What is in force.
    pub soft: u64,
}

/// Namespaces, limits, restrictions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux {
    /// Its cgroup, relative to a hierarchy's mount point.
    pub cgroups_path: String,
    /// Its own ones.
    pub namespaces: Vec<Namespace>,
    /// Kernel parameters of its namespaces.
    pub sysctl: BTreeMap<String, String>,
    /// Limits of its cgroup.
    pub resources: Resources,
    /// Nodes in /dev beyond the usual ones.
    pub devices: Vec<Device>,
    /// The filter of system calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    /// Paths that are hidden.
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written to.
    pub readonly_paths: Vec<String>,
}

/// A namespace of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// `pid`, `mount`, ….
    #[serde(rename = "type")]
    pub kind: String,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Device {
    /// Where.
    pub path: PathBuf,
    /// Of which kind.
    #[serde(rename = "type")]
    pub kind: DeviceKind,
    /// Number.
    pub major: i64,
    /// Number.
    pub minor: i64,
    /// Permission bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A filter of system calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to a call that no rule names.
    pub default_action: Action,
    /// The error, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Rules.
    #[serde(default, deserialize_with = "or_null")]
    pub syscalls: Vec<Syscall>,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the kernel's own names")]
pub enum Action {
    ScmpActKill,
    ScmpActKillProcess,
    ScmpActKillThread,
    ScmpActTrap,
    ScmpActErrno,
    ScmpActTrace,
    ScmpActAllow,
    ScmpActLog,
    ScmpActNotify,
}

/// A rule for some calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscall {
    /// Which ones.
    pub names: Vec<String>,
    /// What happens to them.
    pub action: Action,
    /// The error, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Only where all of these hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_null")]
    pub args: Vec<Argument>,
}

/// A condition on an argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Argument {
    /// Which one.
    pub index: usize,
    /// What it is compared to.
    pub value: u64,
    /// What it is compared to under a mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_two: Option<u64>,
    /// How.
    pub op: Operator,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "libseccomp's own names")]
pub enum Operator {
    ScmpCmpNe,
    ScmpCmpLt,
    ScmpCmpLe,
    ScmpCmpEq,
    ScmpCmpGe,
    ScmpCmpGt,
    ScmpCmpMaskedEq,
}

/// Profiles that people write have `null` for an empty list.
fn or_null<'a, D: Deserializer<'a>, T: Deserialize<'a>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
