//! Where each of a task's mounts has its content on this host.

use crate::root::places::{self, Places};
use crate::root::record::Work;
use crate::runtime::HostMount;
use crate::task::step_error::{StepError, Stepped, cannot};
use crate::volumes::{self, Owner, Volume};
use crate::{Layout, clock, root::trees};
use keel_beneath::Left;
use keel_engine::{FailureKind, Mount, MountError, MountSource, TaskAssignment, VolumeSpec};
use keel_images::Image;
use std::io;
use std::path::{Path, PathBuf};

/// All of a task's volumes, binds and revision files. `first` says that the task was never made
/// ready before: only then an empty volume gets what the image has there.
pub(crate) fn resolve(
    layout: &Layout,
    wish: &TaskAssignment,
    image: &Image,
    work: &mut Work,
    first: bool,
) -> Stepped<Vec<HostMount>> {
    let places = places(layout)?;
    let mut task = Resolving { layout, places, wish, image, work, first };
    let mut mounts = Vec::new();
    for mount in &wish.spec.volumes {
        let (source, beneath) = task.source(mount)?;
        mounts.push(HostMount {
            source,
            beneath,
            target: mount.target.clone(),
            // Others mount the same files.
            read_only: mount.read_only || mount.source.tree().is_some(),
            propagation: mount.propagation.clone(),
        });
    }
    let declared: Vec<_> = image.config.volumes.iter().cloned().collect();
    for path in wish.spec.uncovered(&declared) {
        let source = task.anonymous(&path)?;
        mounts.push(HostMount { source, target: path, ..HostMount::default() });
    }
    places::note(layout, wish)?;
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
) -> Stepped<()> {
    let places = places(layout)?;
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
        let failed = cannot(format!("make {}", path.display()));
        bind(&places, &path, true)?;
        volumes::store(layout, &volume)?;
        if fills {
            volumes::seed(layout, &volume, &image.layers, target).map_err(failed)?;
        }
    }
    Ok(())
}

fn places(layout: &Layout) -> Stepped<Places> {
    let failed = cannot(format!("read {}", layout.written().display()));
    Places::load(layout).map_err(failed)
}

struct Resolving<'a> {
    layout: &'a Layout,
    places: Places,
    wish: &'a TaskAssignment,
    image: &'a Image,
    work: &'a mut Work,
    first: bool,
}

impl Resolving<'_> {
    /// Where it is, and the folder that its path does not leave.
    fn source(&mut self, mount: &Mount) -> Stepped<(PathBuf, Option<PathBuf>)> {
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
                let (path, whole) = volumes::place(self.layout, &volume, subpath.as_deref())?;
                if let (Some(subpath), Some(whole)) = (subpath, &whole) {
                    inside(&self.places, whole, &path, subpath)?;
                }
                Ok((path, whole))
            }
            MountSource::Anonymous => Ok((self.anonymous(&mount.target)?, None)),
            MountSource::Bind { path, create } => {
                bind(&self.places, Path::new(path), *create)?;
                Ok((path.into(), None))
            }
            MountSource::Revision { .. } => self.revision(mount),
        }
    }

    /// The node's own copy; of a task that an earlier version assigned, the controller's checkout.
    fn revision(&self, mount: &Mount) -> Stepped<(PathBuf, Option<PathBuf>)> {
        let own = mount.source.tree().map(|tree| trees::place(self.layout, &tree));
        let beneath = own.as_deref().and_then(Path::parent).map(Path::to_owned);
        let checkout = || mount.source.checkout_path().unwrap_or_default().into();
        let path = own.unwrap_or_else(checkout);
        let awaited = || MountError::FilesAwaited { target: mount.target.clone() };
        found(&self.places, &path, beneath.as_deref(), awaited)?.map_err(refused)?;
        Ok((path, beneath))
    }

    fn anonymous(&mut self, target: &str) -> Stepped<PathBuf> {
        let path = target.trim_end_matches('/').to_owned();
        let volume = volumes::anonymous(self.layout, self.wish, &path)?;
        self.seed(&volume, &path)?;
        self.work.anonymous.insert(path, volume.spec.name.clone());
        Ok(volumes::mountpoint(self.layout, &volume)?)
    }

    fn seed(&self, volume: &Volume, at: &str) -> Stepped<()> {
        if !self.first {
            return Ok(());
        }
        volumes::seed(self.layout, volume, &self.image.layers, at)
            .map_err(cannot(format!("fill volume {} from {at}", volume.spec.name)))
    }
}

/// What is bound is looked at now, for what can be said of it before anything is stopped or
/// started; each run looks again.
fn bind(places: &Places, path: &Path, create: bool) -> Stepped<()> {
    let shown = path.display();
    if !create {
        let missing = || MountError::SourceMissing { path: shown.to_string() };
        return found(places, path, None, missing)?.map_err(refused);
    }
    match places.open_or_make(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(match Left::of(&error) {
            Some(left) => refused(MountError::LeadsOut { left: left.to_string() }),
            None => cannot(format!("make {shown}"))(error),
        }),
    }
}

/// A folder inside of a volume, wherever its links lead, as long as they stay inside.
fn inside(places: &Places, whole: &Path, path: &Path, subpath: &str) -> Stepped<()> {
    let subpath = subpath.to_owned();
    let missing = || MountError::SubpathMissing { subpath: subpath.clone() };
    found(places, path, Some(whole), missing)?.map_err(|error| {
        refused(match error {
            MountError::LeadsOut { left } => {
                MountError::SubpathLeadsOut { subpath: subpath.clone(), left }
            }
            other => other,
        })
    })
}

/// What is wrong with a path, where it can be told at all.
fn found(
    places: &Places,
    path: &Path,
    beneath: Option<&Path>,
    missing: impl Fn() -> MountError,
) -> Stepped<Result<(), MountError>> {
    let Err(error) = places.open(path, beneath) else { return Ok(Ok(())) };
    if let Some(left) = Left::of(&error) {
        return Ok(Err(MountError::LeadsOut { left: left.to_string() }));
    }
    match is_missing(&error) {
        true => Ok(Err(missing())),
        false => Err(cannot(format!("open {}", path.display()))(error)),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A link stays until a person removes it; what is awaited comes by itself.
fn refused(error: MountError) -> StepError {
    let may_pass = error.may_pass();
    let failure = FailureKind::Mount(error).into();
    if may_pass { StepError::Retry(failure) } else { StepError::Permanent(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn world() -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        let places = Places::load(&Layout::new(root.path())).unwrap();
        (root, places)
    }

    #[test]
    fn a_missing_source_is_made_or_named() {
        let (root, places) = world();
        let missing = root.path().join("a/b");
        let refused = bind(&places, &missing, false).unwrap_err();
        let path = missing.display().to_string();
        let kind = FailureKind::Mount(MountError::SourceMissing { path });
        assert_eq!(refused, StepError::Permanent(kind.into()));
        bind(&places, &missing, true).unwrap();
        assert!(missing.is_dir());
    }

    #[test]
    fn a_subpath_stays_inside() {
        let (root, places) = world();
        let whole = root.path().join("whole");
        fs::create_dir_all(whole.join("sub")).unwrap();
        let inside = |subpath: &str| inside(&places, &whole, &whole.join(subpath), subpath);
        inside("sub").unwrap();
        for (subpath, word) in
            [("../", "leads out"), ("none", "is not in"), ("sub/none", "is not in")]
        {
            let Err(StepError::Permanent(failure)) = inside(subpath) else { panic!("{subpath}") };
            let words = failure.to_string();
            assert!(words.contains(word), "{subpath}: {words}");
        }
    }
}
