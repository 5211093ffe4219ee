//! Where each of a task's mounts has its content on this host.

use crate::record::Work;
use crate::runtime::HostMount;
use crate::setback::{Setback, Step};
use crate::volumes::{self, Owner, Volume};
use crate::{Layout, clock};
use keel_engine::{Mount, MountSource, TaskAssignment, VolumeSpec};
use keel_images::Image;
use std::fs;
use std::path::{Path, PathBuf};

/// All of a task's volumes, binds and revision files. `first` says that the task was never made
/// ready before: only then an empty volume gets what the image has there.
pub(crate) fn resolve(
    layout: &Layout,
    wish: &TaskAssignment,
    image: &Image,
    work: &mut Work,
    first: bool,
) -> Step<Vec<HostMount>> {
    let mut task = Resolving { layout, wish, image, work, first };
    let mut mounts = Vec::new();
    for mount in &wish.spec.volumes {
        let source = task.source(mount)?;
        mounts.push(HostMount {
            source,
            target: mount.target.clone(),
            read_only: mount.read_only,
            propagation: mount.propagation.clone(),
        });
    }
    let declared: Vec<_> = image.config.volumes.iter().cloned().collect();
    for path in wish.spec.uncovered(&declared) {
        let source = task.anonymous(&path)?;
        mounts.push(HostMount { source, target: path, read_only: false, propagation: None });
    }
    Ok(mounts)
}

/// Makes volumes anew that were deleted, at the task's targets that are named: filled from the
/// image, as new ones are.
pub(crate) fn renew(
    layout: &Layout,
    wish: &TaskAssignment,
    work: &Work,
    image: &Image,
    targets: &[String],
) -> Step<()> {
    let named = wish.spec.volumes.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, nocopy, subpath } => {
            let target = mount.target.trim_end_matches('/');
            Some((target, name, None, !nocopy && subpath.is_none()))
        }
        _ => None,
    });
    let slot = wish.place.slot().map(ToString::to_string).unwrap_or_default();
    let owner =
        |path: &String| Owner { task: wish.id.clone(), path: path.clone(), slot: slot.clone() };
    let anonymous = work.anonymous.iter();
    let anonymous = anonymous.map(|(path, name)| (path.as_str(), name, Some(owner(path)), true));
    let lost = |target: &str| targets.iter().any(|lost| lost == target);
    for (target, name, owner, fills) in named.chain(anonymous).filter(|(at, ..)| lost(at)) {
        let spec = VolumeSpec { name: name.clone(), driver: "local".into(), ..Default::default() };
        let new = || Volume { spec, created: clock::now(), owner, ..Volume::default() };
        let volume = volumes::load(layout, name)?.unwrap_or_else(new);
        let path = volumes::mountpoint(layout, &volume)?;
        let failed = |error| Setback::Later(format!("cannot make {}: {error}", path.display()));
        fs::create_dir_all(&path).map_err(failed)?;
        volumes::store(layout, &volume)?;
        if fills {
            volumes::seed(layout, &volume, &image.layers, target).map_err(failed)?;
        }
    }
    Ok(())
}

struct Resolving<'a> {
    layout: &'a Layout,
    wish: &'a TaskAssignment,
    image: &'a Image,
    work: &'a mut Work,
    first: bool,
}

impl Resolving<'_> {
    fn source(&mut self, mount: &Mount) -> Step<PathBuf> {
        match &mount.source {
            MountSource::Volume { name, nocopy, subpath } => {
                let spec = VolumeSpec {
                    name: name.clone(),
                    driver: "local".into(),
                    ..VolumeSpec::default()
                };
                let volume = volumes::ensure(self.layout, &spec)?;
                if !nocopy && subpath.is_none() {
                    self.seed(&volume, &mount.target)?;
                }
                let whole = volumes::mountpoint(self.layout, &volume)?;
                match subpath {
                    Some(subpath) => inside(&whole, subpath),
                    None => Ok(whole),
                }
            }
            MountSource::Anonymous => self.anonymous(&mount.target),
            MountSource::Bind { path, create } => bind(Path::new(path), *create),
            MountSource::Revision { path, .. } => match Path::new(path).exists() {
                true => Ok(path.into()),
                false => Err(Setback::Later(format!("{path} of the revision is not here"))),
            },
        }
    }

    fn anonymous(&mut self, target: &str) -> Step<PathBuf> {
        let path = target.trim_end_matches('/').to_owned();
        let volume = volumes::anonymous(self.layout, self.wish, &path)?;
        self.seed(&volume, &path)?;
        self.work.anonymous.insert(path, volume.spec.name.clone());
        Ok(volumes::mountpoint(self.layout, &volume)?)
    }

    fn seed(&self, volume: &Volume, at: &str) -> Step<()> {
        if !self.first {
            return Ok(());
        }
        volumes::seed(self.layout, volume, &self.image.layers, at).map_err(|error| {
            Setback::Later(format!("cannot fill volume {} from {at}: {error}", volume.spec.name))
        })
    }
}

fn bind(path: &Path, create: bool) -> Step<PathBuf> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let shown = path.display();
    if !create {
        return Err(Setback::Never(format!("{shown}, which it mounts, does not exist")));
    }
    match fs::create_dir_all(path) {
        Ok(()) => Ok(path.to_owned()),
        Err(error) => Err(Setback::Later(format!("cannot make {shown}: {error}"))),
    }
}

/// A folder inside of a volume, wherever its links lead, as long as they stay inside.
fn inside(whole: &Path, subpath: &str) -> Step<PathBuf> {
    let wrong = |why: String| Setback::Never(format!("subpath `{subpath}` {why}"));
    let whole = whole.canonicalize().map_err(|error| Setback::Later(error.to_string()))?;
    let path = whole.join(subpath.trim_start_matches('/'));
    let path = path.canonicalize().map_err(|_| wrong("is not in the volume".into()))?;
    if path.starts_with(&whole) { Ok(path) } else { Err(wrong("leads out of the volume".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_source_is_made_or_named() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("a/b");
        let refused = bind(&missing, false).unwrap_err();
        let words = format!("{}, which it mounts, does not exist", missing.display());
        assert_eq!(refused, Setback::Never(words));
        assert_eq!(bind(&missing, true).unwrap(), missing);
        assert!(missing.is_dir());
    }

    #[test]
    fn a_subpath_stays_inside() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("whole/sub")).unwrap();
        let whole = root.path().join("whole").canonicalize().unwrap();
        assert_eq!(inside(&whole, "sub").unwrap(), whole.join("sub"));
        assert!(matches!(inside(&whole, "../"), Err(Setback::Never(_))));
        assert!(matches!(inside(&whole, "none"), Err(Setback::Never(_))));
    }
}
