//! What ties tasks to one node: data that is there alone, and files that allow one task at most.

use crate::desired::{Desired, DesiredService};
use crate::why::Tie;
use keel_engine::{Mount, MountSource, NetworkMode, TaskSpec, VolumeSpec};

/// What holds the tasks of a service to the node that they are on.
pub(crate) fn tie(desired: &Desired, service: &DesiredService) -> Option<Tie> {
    if let NetworkMode::Service(host) = &service.spec.network_mode {
        let host = desired.services.get(host).and_then(own_tie_in(desired));
        return host.or_else(|| own_tie_in(desired)(service));
    }
    own_tie_in(desired)(service)
}

fn own_tie_in(desired: &Desired) -> impl Fn(&DesiredService) -> Option<Tie> {
    |service| {
        if service.placement.exclusive {
            return Some(Tie::Exclusive);
        }
        let mounts = service.spec.volumes.iter().filter(|mount| !mount.shared);
        let volume = mounts.filter_map(|mount| binds(Some(desired), mount)).next();
        let volume = volume.map(|volume| Tie::Volume { volume: volume.to_owned() });
        volume.or_else(|| Some(Tie::Path { path: own_path(&service.spec)?.to_owned() }))
    }
}

/// The volume of a mount, by full name, if its data is on one node.
pub(crate) fn binds<'m>(desired: Option<&Desired>, mount: &'m Mount) -> Option<&'m str> {
    let MountSource::Volume { name, .. } = &mount.source else { return None };
    let volume = desired.and_then(|desired| desired.volumes.get(name));
    volume.is_none_or(|volume| !is_on_network(&volume.spec)).then_some(name)
}

/// Whether every node reaches the same data.
fn is_on_network(volume: &VolumeSpec) -> bool {
    let kind = volume.driver_opts.get("type").map(String::as_str);
    matches!(kind, Some("nfs" | "nfs4" | "cifs"))
}

/// The first path of its node that a task writes to, if there is one.
pub(crate) fn own_path(spec: &TaskSpec) -> Option<&str> {
    spec.volumes.iter().find_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } if !mount.read_only && !mount.shared => Some(path.as_str()),
        _ => None,
    })
}
