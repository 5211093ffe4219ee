//! Mounts that lose or mix up data.

use crate::code::Code;
use crate::files::{Files, Kind};
use crate::problem::Problem;
use crate::service::mounts::is_foreign;
use crate::service::{Mount, MountKind, Service};
use crate::stack::HostPath;

pub(super) fn warn(service: &Service, files: &dyn Files) -> Vec<Problem> {
    let writable = service.mounts.iter().enumerate().filter(|(_, mount)| !mount.read_only);
    let problems = writable.flat_map(|(i, mount)| {
        let path = format!("volumes[{i}]");
        [shared(service, mount, &path), relative(service, mount, &path, files)]
    });
    problems.flatten().collect()
}

/// Several replicas that write to one place.
fn shared(service: &Service, mount: &Mount, path: &str) -> Option<Problem> {
    let replicas = service.deploy.replicas;
    let data = matches!(mount.kind, MountKind::Bind { .. } | MountKind::Volume { .. });
    if !data || mount.shared || replicas < 2 {
        return None;
    }
    let message =
        format!("{replicas} replicas of service `{}` write to `{}`", service.name, mount.target);
    let hint = "mount it read-only, or say `x-keel: {shared: true}` on the mount";
    Some(super::at::at(service, path, Code::SharedVolume, message, hint))
}

/// Data that lies beside the Compose file.
fn relative(service: &Service, mount: &Mount, path: &str, files: &dyn Files) -> Option<Problem> {
    let MountKind::Bind { source, .. } = &mount.kind else { return None };
    if !is_data(source, files) {
        return None;
    }
    let message = format!(
        "service `{}` keeps data in `{}`, beside the Compose file",
        service.name, source.written
    );
    let hint = "use a volume or an absolute path, or mount it read-only";
    Some(super::at::at(service, path, Code::RelativeData, message, hint))
}

/// A single file is warned of where the host's files are known.
fn is_data(source: &HostPath, files: &dyn Files) -> bool {
    source.is_relative() && !is_foreign(&source.written) && files.kind(&source.path()) != Kind::File
}
