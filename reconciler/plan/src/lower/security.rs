//! What the container may do to the host and the kernel.

use keel_engine::{Device, TaskSpec};
use keel_spec::service::{Seccomp, Security};

pub(super) fn lower(security: &Security, spec: &mut TaskSpec) {
    spec.privileged = security.privileged;
    spec.read_only = security.read_only;
    spec.cap_add = security.cap_add.iter().cloned().collect();
    spec.cap_drop = security.cap_drop.iter().cloned().collect();
    spec.sysctls.clone_from(&security.sysctls);
    spec.security_opt = options(security);
    spec.devices = security
        .devices
        .iter()
        .map(|device| Device {
            source: device.source.clone(),
            target: device.target.clone(),
            permissions: device.permissions.clone(),
        })
        .collect();
    spec.devices.sort_by(|a, b| a.target.cmp(&b.target));
}

/// In one order, whatever the order in the file. A seccomp profile's service is held.
fn options(security: &Security) -> Vec<String> {
    let mut options = Vec::new();
    if security.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    if security.seccomp == Some(Seccomp::Unconfined) {
        options.push("seccomp=unconfined".to_owned());
    }
    options.extend(security.apparmor.iter().map(|profile| format!("apparmor={profile}")));
    if security.unmasked {
        options.push("systempaths=unconfined".to_owned());
    }
    let mut labels: Vec<_> = security.selinux.iter().map(|l| format!("label={l}")).collect();
    labels.sort();
    options.extend(labels);
    options
}
