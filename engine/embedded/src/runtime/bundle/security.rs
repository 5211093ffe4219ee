//! What a task may do: capabilities, system calls, which of the kernel's files it sees.

use super::error::BundleError;
use super::inputs::HostFacts;
use crate::runtime::oci::{Capabilities, Seccomp};
use crate::runtime::{capabilities, seccomp};
use keel_engine::TaskSpec;
use serde_json::Value;
use std::collections::BTreeSet;

/// The answers.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// As OCI has them.
    pub capabilities: Capabilities,
    /// No gain of privileges by executing.
    pub no_new_privileges: bool,
    /// `None` is no filter.
    pub seccomp: Option<Seccomp>,
    /// Paths that are hidden.
    pub masked: Vec<String>,
    /// Paths that cannot be written to.
    pub read_only: Vec<String>,
}

const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Judges a task by its security fields.
pub fn judge(
    task: &TaskSpec,
    host: &HostFacts,
    warnings: &mut Vec<String>,
) -> Result<Security, BundleError> {
    let wanted = capabilities::granted(task.privileged, &task.cap_add, &task.cap_drop);
    let granted: BTreeSet<_> = wanted.intersection(&host.capabilities).cloned().collect();
    for name in task.cap_add.iter().filter(|name| wanted.contains(*name)) {
        if !granted.contains(name) {
            warnings.push(format!("cap_add {name}: this host has not got it to give"));
        }
    }
    let sets = capabilities::sets(granted.iter().map(String::as_str));
    let mut security = Security { capabilities: sets, ..Security::default() };
    if !task.privileged {
        security.seccomp = Some(seccomp::default(&granted));
        security.masked = MASKED.iter().map(|path| (*path).to_owned()).collect();
        security.masked.extend(host.throttles.iter().cloned());
        security.read_only = READ_ONLY.iter().map(|path| (*path).to_owned()).collect();
    }
    for option in &task.security_opt {
        take(&mut security, option, &granted, warnings)?;
    }
    Ok(security)
}

fn take(
    security: &mut Security,
    option: &str,
    granted: &BTreeSet<String>,
    warnings: &mut Vec<String>,
) -> Result<(), BundleError> {
    let (key, value) = option.split_once(['=', ':']).unwrap_or((option, "true"));
    match (key, value) {
        ("no-new-privileges", "true") => security.no_new_privileges = true,
        ("no-new-privileges", "false") => security.no_new_privileges = false,
        ("seccomp", "unconfined") => security.seccomp = None,
        ("seccomp", profile) => security.seccomp = Some(lower(profile, granted)?),
        ("systempaths", "unconfined") => {
            security.masked.clear();
            security.read_only.clear();
        }
        ("apparmor" | "label", _) => {
            warnings.push(format!("security_opt {option}: not applied by this engine"));
        }
        _ => return Err(BundleError::SecurityOption(option.to_owned())),
    }
    Ok(())
}

/// A profile in docker's form: rules may depend on capabilities and architecture.
fn lower(profile: &str, granted: &BTreeSet<String>) -> Result<Seccomp, BundleError> {
    let mut profile: Value = serde_json::from_str(profile).map_err(BundleError::Profile)?;
    if let Some(rules) = profile.get_mut("syscalls").and_then(Value::as_array_mut) {
        rules.retain(|rule| applies(rule, granted));
        for rule in rules {
            let old = rule.get("name").cloned();
            if let (Some(rule), Some(name)) = (rule.as_object_mut(), old) {
                rule.entry("names").or_insert(Value::Array(vec![name]));
            }
        }
    }
    // Only the native architecture is filtered; others are refused.
    if let Some(profile) = profile.as_object_mut() {
        profile.remove("architectures");
    }
    serde_json::from_value(profile).map_err(BundleError::Profile)
}

fn applies(rule: &Value, granted: &BTreeSet<String>) -> bool {
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let list = |side: &str, key: &str| -> Vec<String> {
        let words = rule[side][key].as_array().into_iter().flatten();
        words.filter_map(Value::as_str).map(|word| word.trim_start_matches("CAP_").into()).collect()
    };
    let (caps, arches) = (list("includes", "caps"), list("includes", "arches"));
    let (no_caps, no_arches) = (list("excludes", "caps"), list("excludes", "arches"));
    caps.iter().all(|name| granted.contains(name))
        && (arches.is_empty() || arches.iter().any(|name| name == here))
        && !no_caps.iter().any(|name| granted.contains(name))
        && !no_arches.iter().any(|name| name == here)
}
