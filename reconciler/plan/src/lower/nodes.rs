//! Which nodes may run a service, and what each of them keeps for its tasks.

use super::Lowering;
use super::paths::Place;
use crate::placement::{Mode, Placement};
use keel_engine::TaskSpec;
use keel_spec::Service;
use keel_spec::service::{self, MountKind};

impl Lowering<'_> {
    pub(super) fn placement(&self, service: &Service) -> Placement {
        let written = &service.placement;
        Placement {
            mode: mode(service.deploy.mode),
            constraints: written.constraints.iter().chain(&written.platform).cloned().collect(),
            spread: written.spread.clone(),
            max_per_node: written.max_per_node,
            exclusive: service.policy.exclusive.unwrap_or(false),
            home_path: self.home_path(service),
        }
    }

    /// The first mount from the stack's own folder that does not travel with its revision.
    fn home_path(&self, service: &Service) -> Option<String> {
        service.mounts.iter().find_map(|mount| {
            let MountKind::Bind { source, .. } = &mount.kind else { return None };
            let stays = match self.place(source).ok()? {
                Place::Host(_) => false,
                Place::Folder(_) => true,
                Place::Repo(path) => self.revision_digest(&path).is_none(),
            };
            stays.then(|| source.written.clone())
        })
    }
}

fn mode(mode: service::Mode) -> Mode {
    match mode {
        service::Mode::Replicated => Mode::Replicated,
        service::Mode::Global => Mode::Global,
        service::Mode::ReplicatedJob => Mode::ReplicatedJob,
        service::Mode::GlobalJob => Mode::GlobalJob,
    }
}

/// Zero reserves nothing.
pub(super) fn reserve(service: &Service, spec: &mut TaskSpec) {
    spec.reserved_cpus = service.placement.reserved_cpus.map(|cpus| cpus.0);
    spec.reserved_memory = service.placement.reserved_memory;
}
