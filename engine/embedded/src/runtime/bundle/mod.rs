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

mod allowance;
mod error;
mod inputs;
mod mounts;
mod program;
mod security;

use super::oci::{Device, DeviceKind, Linux, Namespace, Root, Spec};
use allowance::{resources, rlimits};
use keel_engine::{NetworkMode, TaskSpec};
use std::collections::BTreeMap;

pub use error::BundleError;
pub use inputs::{DeviceNode, FILE, HostFacts, HostMount, INIT, ImageFacts, SELF};

/// Annotation with further groups, by name or number, separated by commas.
pub const GROUPS: &str = "keel.group_add";

/// A specification, and what of the wish this host cannot grant.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What is stored as `config.json`.
    pub spec: Spec,
    /// Lines for people.
    pub warnings: Vec<String>,
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
    let process = program::process(task, image, host, &security, limits)?;
    let spec = Spec {
        version: "1.2.0".to_owned(),
        root: Root { path: host.dir.clone(), readonly: task.read_only },
        mounts: mounts::mounts(task, host),
        process,
        hostname: Some(inputs::hostname(task, host)),
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
