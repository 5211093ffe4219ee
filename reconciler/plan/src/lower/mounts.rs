//! Volumes, bind mounts, memory file systems.
//!
//! In a Git source it is decided for each path over the whole stack: what is tracked, and
//! read-only in every mount, comes from the revision; all else lives in the source's data folder.

use super::missing::Bind;
use super::origins::sorted;
use super::paths::Place;
use super::{Attempt, Base, Lowering};
use crate::desired::{DesiredVolume, Origins};
use keel_engine::{Digest, Mount, MountSource, Tmpfs, VolumeSpec};
use keel_spec::service::{self, MountKind, Propagation};
use keel_spec::stack::HostPath;
use keel_spec::{Code, Kind, Problem, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Named volumes that a service mounts, by key.
fn used_volumes(service: &Service) -> impl Iterator<Item = &str> {
    service.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume { volume, .. } => Some(volume.as_str()),
        _ => None,
    })
}

impl Lowering<'_> {
    /// The service's mounts; its memory file systems are [`Lowering::tmpfs`].
    pub(super) fn mounts(&mut self, service: &Service, origins: &mut Origins) -> Vec<Mount> {
        let mut mounts = Vec::new();
        for (index, mount) in service.mounts.iter().enumerate() {
            match self.mount(service, mount, &format!("volumes[{index}]")) {
                Ok(lowered) => mounts.extend(lowered.map(|mount| (index, mount))),
                Err(problem) => self.report(*problem, service, &format!("volumes[{index}]")),
            }
        }
        // Parents before what is mounted below them; the order in the file has no meaning.
        sorted(mounts, "volumes", origins, |mount| mount.target.clone())
    }

    fn mount(
        &mut self,
        service: &Service,
        mount: &service::Mount,
        field: &str,
    ) -> Attempt<Option<Mount>> {
        let mut digest = None;
        let mut travels = None;
        let source = match &mount.kind {
            MountKind::Tmpfs { .. } => return Ok(None),
            MountKind::Anonymous { .. } => MountSource::Anonymous,
            MountKind::Volume { volume, nocopy, subpath } => MountSource::Volume {
                name: self.volume_name(volume),
                nocopy: *nocopy,
                subpath: subpath.clone(),
            },
            MountKind::Bind { source, create_host_path, propagation } => {
                travels = propagation.and_then(word).map(str::to_owned);
                let place = self.place(source)?;
                self.warn_of_a_single_file(service, mount, &place);
                self.must_be_whole(&place)?;
                let (written, target, create) = (source, &*mount.target, *create_host_path);
                let bind = Bind { written, target, create, place: &place };
                self.source_must_be_there(&bind, service, field)?;
                digest = self.file_digest(mount, &place)?;
                self.bind(place, *create_host_path)
            }
        };
        Ok(Some(Mount {
            source,
            target: mount.target.clone(),
            read_only: mount.read_only,
            shared: mount.shared,
            propagation: travels,
            digest,
        }))
    }

    /// Nobody wants an empty folder, or a pointer to a file, in place of what is kept elsewhere.
    fn must_be_whole(&self, place: &Place) -> Attempt<()> {
        let path = match (place, &self.context.base) {
            (Place::Repo(path), Base::Git { checkout, .. }) => checkout.join(path),
            (Place::Folder(path), _) => path.clone(),
            (Place::Host(_) | Place::Repo(_), _) => return Ok(()),
        };
        let Some(lack) = self.sources.lacks(&path) else { return Ok(()) };
        let problem = Problem::new(Code::NotFetched, lack.why);
        Err(Box::new(Problem { hint: lack.hint, ..problem }))
    }

    fn bind(&mut self, place: Place, create: bool) -> MountSource {
        let path = match (place, &self.context.base) {
            (Place::Repo(path), Base::Git { data, .. }) => {
                if let Some(digest) = self.revision_digest(&path) {
                    let tree = self.sources.linked(&path);
                    self.trees.insert(tree.unwrap_or(digest), path);
                    return MountSource::Revision { path: String::new(), digest, tree };
                }
                let kept = data.join(&path);
                self.data.insert(path);
                kept
            }
            (Place::Host(path) | Place::Folder(path) | Place::Repo(path), _) => path,
        };
        MountSource::Bind { path: text(&path), create }
    }

    /// Tracked, and read-only in every mount of the whole stack.
    pub(super) fn revision_digest(&self, path: &Path) -> Option<Digest> {
        let digest = self.sources.tracked(path)?;
        let written =
            self.stack.services.values().flat_map(|service| &service.mounts).any(|mount| {
                let MountKind::Bind { source, .. } = &mount.kind else { return false };
                !mount.read_only
                    && matches!(self.place(source), Ok(Place::Repo(other)) if other == path)
            });
        (!written).then_some(digest)
    }

    /// A read-only file of a served folder is part of the meaning: an edit restarts its service.
    fn file_digest(&self, mount: &service::Mount, place: &Place) -> Attempt<Option<Digest>> {
        let Place::Folder(path) = place else { return Ok(None) };
        if !mount.read_only || self.sources.kind(path) != Kind::File {
            return Ok(None);
        }
        let digest = self.sources.digest(path).map_err(|error| {
            let message = format!("cannot read `{}`: {error}", path.display());
            Box::new(Problem::new(Code::Unreadable, message))
        })?;
        Ok(Some(digest))
    }

    fn warn_of_a_single_file(&mut self, service: &Service, mount: &service::Mount, place: &Place) {
        let (Place::Host(path) | Place::Folder(path)) = place else { return };
        if mount.read_only || self.sources.kind(path) != Kind::File {
            return;
        }
        let message = format!("`{}` is one file, mounted writable", path.display());
        let problem = Problem::new(Code::WritableFile, message)
            .hint("programs that replace files cannot replace a mount; mount its folder");
        let index = service.mounts.iter().position(|other| other == mount).unwrap_or_default();
        self.report(problem, service, &format!("volumes[{index}]"));
    }

    /// Where the content of a config or secret is read: the revision's file, else the one that
    /// lies in the data folder because Git rightly lacks it.
    pub(super) fn content_path(&self, path: &HostPath) -> Attempt<PathBuf> {
        match (self.place(path)?, &self.context.base) {
            (Place::Repo(path), Base::Git { checkout, data }) => {
                let tracked = checkout.join(&path);
                let there = self.sources.kind(&tracked) != Kind::Missing;
                Ok(if there { tracked } else { data.join(path) })
            }
            (Place::Host(path) | Place::Folder(path) | Place::Repo(path), _) => Ok(path),
        }
    }

    pub(super) fn volumes(&self, services: &[&Service]) -> BTreeMap<String, DesiredVolume> {
        let used: BTreeSet<&str> = services.iter().flat_map(|s| used_volumes(s)).collect();
        used.into_iter().map(|key| (self.volume_name(key), self.volume(key))).collect()
    }

    fn volume(&self, key: &str) -> DesiredVolume {
        let volume = self.stack.volumes.get(key).cloned().unwrap_or_default();
        let mut labels = volume.labels;
        labels.extend(self.own_labels());
        labels.insert(keel_engine::labels::VOLUME.into(), key.to_owned());
        let spec = VolumeSpec {
            name: self.volume_name(key),
            driver: volume.driver.unwrap_or_else(|| "local".into()),
            driver_opts: volume.driver_opts,
            labels,
        };
        let span = self.stack.origins.nearest(&format!("volumes.{key}"));
        let origin = span.map(|span| super::origins::origin(span, key, self.stack));
        DesiredVolume { spec, external: volume.external, origin }
    }

    fn volume_name(&self, key: &str) -> String {
        let volume = self.stack.volumes.get(key);
        let name = volume.and_then(|volume| volume.name.as_ref());
        self.full_name(key, name, volume.is_some_and(|volume| volume.external))
    }
}

/// Those of `tmpfs` and those among `volumes`, by target.
pub(super) fn tmpfs(service: &Service) -> Vec<Tmpfs> {
    let one = |mount: &service::Mount| match &mount.kind {
        MountKind::Tmpfs { size, mode, options } => Some(Tmpfs {
            target: mount.target.clone(),
            size: *size,
            mode: mode.filter(|mode| *mode != 0o1777),
            options: mount
                .read_only
                .then(|| "ro".to_owned())
                .into_iter()
                .chain(options.iter().filter(|option| *option != "ro").cloned())
                .collect(),
        }),
        _ => None,
    };
    let mut all: Vec<_> = service.tmpfs.iter().chain(&service.mounts).filter_map(one).collect();
    all.sort_by(|a, b| a.target.cmp(&b.target));
    all
}

/// The kernel's word; the default is not said.
fn word(propagation: Propagation) -> Option<&'static str> {
    match propagation {
        Propagation::RPrivate => None,
        Propagation::Private => Some("private"),
        Propagation::Shared => Some("shared"),
        Propagation::RShared => Some("rshared"),
        Propagation::Slave => Some("slave"),
        Propagation::RSlave => Some("rslave"),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
