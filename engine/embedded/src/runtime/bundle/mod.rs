//! From what a task is asked to be to the OCI runtime specification of its runs. Pure.
//!
//! # Invariants
//! - What the host is like comes in as [`HostFacts`]; nothing is looked up here.
//! - What this host cannot grant is a warning that names the value; what makes no sense is an
//!   error.
//!
//! # Where the specification goes beyond OCI's
//! - The first mount has the destination `/` and the type `overlay`: the root itself.
//! - `process.user.username` is `user[:group]` as written, resolved at each start by the
//!   container's own files; [`GROUPS`] holds further groups.
//! - A mount of type [`FILE`] is content copied to memory, with `mode=`, `uid=`, `gid=`; one of
//!   type [`SELF`] is this very program, as the container's init.
//! - A bind's source is opened anew at each run, and `beneath` names a folder that it stays in.

mod limits;
mod mounts;
mod process;
mod security;

use super::oci::{Device, DeviceKind, Linux, Namespace, Root, Spec};
use super::overlay::Layers;
use keel_engine::{NetworkMode, TaskSpec};
use limits::{resources, rlimits};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Annotation with further groups, by name or number, separated by commas.
pub const GROUPS: &str = "keel.group_add";
/// A mount's type: a file with content from `source`, in memory.
pub const FILE: &str = "keel.file";
/// A mount's type: this very program.
pub const SELF: &str = "keel.self";
/// Where the init lies that `init: true` asks for.
pub const INIT: &str = "/sbin/docker-init";

/// What the image's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    pub cmd: Option<Vec<String>>,
    /// ENV, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// USER.
    pub user: Option<String>,
    /// WORKDIR.
    pub working_dir: Option<String>,
    /// VOLUME.
    pub volumes: Vec<String>,
    /// STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
}

/// A mount whose source on the host is known: a volume's folder, a bind, a revision's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMount {
    /// Absolute path on the host; it exists.
    pub source: PathBuf,
    /// A folder on the way there that no link in it leaves: the volume that it is a part of.
    pub beneath: Option<PathBuf>,
    /// Absolute path in the container.
    pub target: String,
    /// No writing.
    pub read_only: bool,
    /// `rprivate` (unset), `rshared`, `rslave`, ….
    pub propagation: Option<String>,
}

/// A device of the host, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// Path in the container.
    pub path: String,
    /// Block, else character.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Letters of `rwm`.
    pub access: String,
}

/// What the host is like, as far as a specification depends on it.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// The task's short id: its host name unless it has another.
    pub short_id: String,
    /// The task's folder.
    pub dir: PathBuf,
    /// The root's copy of this program that is the init of whoever asks for one, if it could be made.
    pub init: Option<PathBuf>,
    /// Where configs and secrets lie by digest.
    pub secrets: PathBuf,
    /// The image's layers and the task's own.
    pub layers: Layers,
    /// The task's cgroup, relative to a hierarchy's mount point.
    pub cgroup: String,
    /// All volumes, binds and revision files.
    pub mounts: Vec<HostMount>,
    /// The devices that the task names; all of the host's for a privileged one.
    pub devices: Vec<DeviceNode>,
    /// Hard limits in force, by lower-case name, where they cannot be raised.
    pub hard_limits: BTreeMap<String, u64>,
    /// Folders by which each CPU tells how hot it is, and so what others do with it.
    pub throttles: Vec<String>,
    /// Capabilities that this program may pass on (upper case, without `CAP_`).
    pub capabilities: BTreeSet<String>,
}

/// A specification, and what of the wish this host cannot grant.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What is stored as `config.json`.
    pub spec: Spec,
    /// Lines for people.
    pub warnings: Vec<String>,
}

/// Why a task has no specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Neither the task nor the image names a program.
    #[error("no command: neither the service nor its image names one")]
    NoCommand,
    /// A mount that would hide the whole image.
    #[error("nothing can be mounted at `/`: it would hide the whole image")]
    Root,
    /// The image has no layers.
    #[error("the image has no layers")]
    NoLayers,
    /// A limit that the kernel does not have.
    #[error("unknown ulimit `{0}`")]
    Ulimit(String),
    /// A kernel parameter that is not the task's alone.
    #[error("sysctl `{0}` belongs to the host: only a task with a network of its own can set it")]
    Sysctl(String),
    /// What is no name of a kernel parameter, or no value of one.
    #[error("sysctl `{0}`: a name is words with dots or slashes between them, a value one line")]
    SysctlText(String),
    /// A security option that nobody knows.
    #[error("unknown security_opt `{0}`")]
    SecurityOption(String),
    /// A profile that is not one.
    #[error("the seccomp profile cannot be read")]
    Profile(#[source] serde_json::Error),
}

/// The specification of a task's runs.
pub fn bundle(
    task: &TaskSpec,
    image: &ImageFacts,
    host: &HostFacts,
) -> Result<Bundle, BundleError> {
    if host.layers.lower.is_empty() {
        return Err(BundleError::NoLayers);
    }
    if mounts::cover_root(task, host) {
        return Err(BundleError::Root);
    }
    let mut warnings = Vec::new();
    let security = security::judge(task, host, &mut warnings)?;
    let limits = rlimits(task, host, &mut warnings)?;
    let process = process::process(task, image, host, &security, limits)?;
    let spec = Spec {
        version: "1.2.0".to_owned(),
        root: Root { path: host.dir.clone(), readonly: task.read_only },
        mounts: mounts::mounts(task, host),
        process,
        hostname: Some(hostname(task, host)),
        annotations: BTreeMap::from([(GROUPS.to_owned(), task.group_add.join(","))]),
        linux: linux(task, host, security)?,
    };
    Ok(Bundle { spec, warnings })
}

/// The same specification with the limits that the task has now: those change while its process
/// runs, and its next run is to have them, too.
pub fn change_limits(spec: &mut Spec, task: &TaskSpec) {
    spec.linux.resources.limits = keel_engine::limits_of(task);
}

fn hostname(task: &TaskSpec, host: &HostFacts) -> String {
    task.hostname.clone().unwrap_or_else(|| host.short_id.clone())
}

fn linux(
    task: &TaskSpec,
    host: &HostFacts,
    security: security::Security,
) -> Result<Linux, BundleError> {
    Ok(Linux {
        cgroups_path: host.cgroup.clone(),
        namespaces: namespaces(),
        sysctl: sysctls(task)?,
        resources: resources(task, host),
        devices: host.devices.iter().map(device).collect(),
        seccomp: security.seccomp,
        masked_paths: security.masked,
        readonly_paths: security.read_only,
    })
}

/// Without a network: the process is born in its shim's.
fn namespaces() -> Vec<Namespace> {
    let kinds = ["pid", "ipc", "uts", "mount", "cgroup"];
    kinds.map(|kind| Namespace { kind: kind.to_owned() }).into()
}

/// A network of its own lets everybody inside use low ports and ping, as docker does.
fn sysctls(task: &TaskSpec) -> Result<BTreeMap<String, String>, BundleError> {
    let own = matches!(task.network_mode, NetworkMode::Networks | NetworkMode::None);
    let mut sysctls = BTreeMap::new();
    if own {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    for (name, value) in &task.sysctls {
        if !is_parameter(name) || value.contains(['\0', '\n', '\r']) {
            return Err(BundleError::SysctlText(name.clone()));
        }
        let ours = ["kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue."];
        let ipc = ours.iter().any(|prefix| name.starts_with(prefix));
        if !(ipc || own && name.starts_with("net.") || task.privileged) {
            return Err(BundleError::Sysctl(name.clone()));
        }
        sysctls.insert(name.clone(), value.clone());
    }
    Ok(sysctls)
}

/// No part of it is empty or leads up; the name of an interface may have dots where slashes part.
fn is_parameter(name: &str) -> bool {
    let separator = if name.contains('/') { '/' } else { '.' };
    let part = |part: &str| {
        !["", ".", ".."].contains(&part)
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.@:".contains(letter))
    };
    name.split(separator).all(part)
}

fn device(node: &DeviceNode) -> Device {
    Device {
        path: node.path.clone().into(),
        kind: if node.block { DeviceKind::B } else { DeviceKind::C },
        major: node.major.into(),
        minor: node.minor.into(),
        file_mode: Some(node.mode),
        uid: Some(node.uid),
        gid: Some(node.gid),
    }
}

#[cfg(test)]
mod tests;
