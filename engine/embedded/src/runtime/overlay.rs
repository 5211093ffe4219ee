//! The container's root: the image's layers with the task's own on top.
//!
//! Kernels before about 6.8 take the layers only as one option of limited length; there each is
//! named by descriptor (`/proc/self/fd/N`), which is short and free of commas and colons.

use super::failure::{AtStep, Failure};
use super::mounting;
use nix::sched::CloneFlags;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Layers of one overlay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// Read-only, bottom first.
    pub lower: Vec<PathBuf>,
    /// The writable one and overlayfs's own folder; `None`: all is read-only.
    pub upper: Option<(PathBuf, PathBuf)>,
}

impl Layers {
    /// From the options of an OCI mount: `lowerdir+=` (top first), `upperdir=`, `workdir=`.
    #[must_use]
    pub fn from_options<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut lower, mut upper, mut work) = (Vec::new(), None, None);
        for (key, value) in options.into_iter().filter_map(|option| option.split_once('=')) {
            match key {
                "lowerdir+" => lower.insert(0, PathBuf::from(value)),
                "upperdir" => upper = Some(PathBuf::from(value)),
                "workdir" => work = Some(PathBuf::from(value)),
                _ => {}
            }
        }
        Self { lower, upper: upper.zip(work) }
    }

    /// The same as options.
    #[must_use]
    pub fn to_options(&self) -> Vec<String> {
        let lower = self.lower.iter().rev().map(|path| format!("lowerdir+={}", path.display()));
        let upper = self.upper.iter().flat_map(|(upper, work)| {
            [format!("upperdir={}", upper.display()), format!("workdir={}", work.display())]
        });
        lower.chain(upper).collect()
    }
}

/// Mounts the layers on `target`. Only in a mount namespace of one's own.
pub fn mount_on(layers: &Layers, target: &Path) -> Result<(), Failure> {
    let opened = Opened::open(layers)?;
    match opened.detached() {
        Ok(overlay) => {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let target =
                openat(CWD, target, flags, Mode::empty()).step("open the root's folder")?;
            mounting::attach(overlay.as_fd(), target.as_fd()).step("attach the root")
        }
        // Either this kernel does not know `lowerdir+`, or something is wrong with the layers: in
        // the second case the old way says so too.
        Err(_) => opened.by_options(target).step("mount the image's layers"),
    }
}

/// Shows an image's layers, bottom first, joined and read-only at a folder that only `look` sees,
/// in a thread with a mount namespace of its own. `place` is an empty folder to show them on.
pub fn view<T: Send>(
    lower: &[PathBuf],
    place: &Path,
    look: impl FnOnce(&Path) -> T + Send,
) -> Result<T, Failure> {
    let see = || match lower {
        // One layer is its own view; overlayfs wants two.
        [only] => Ok(look(only)),
        lower => {
            leave_mounts()?;
            mount_on(&Layers { lower: lower.to_vec(), upper: None }, place)?;
            Ok(look(place))
        }
    };
    in_a_thread(see)
}

/// Whether these layers can be written to: a file of the lower one is taken away in the upper one, in a
/// thread with a mount namespace of its own. `place` is an empty folder to show them on.
pub fn writable(layers: &Layers, place: &Path, file: &str) -> Result<(), Failure> {
    in_a_thread(|| {
        leave_mounts()?;
        mount_on(layers, place)?;
        std::fs::remove_file(place.join(file)).step("remove a file of a layer")
    })
}

/// From now on this thread has mounts of its own.
fn leave_mounts() -> Result<(), Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
    mounting::be_private().step("leave the host's mounts")
}

/// What a thread changes of itself goes with it.
fn in_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Layers by descriptor: a path that is swapped for a link meanwhile changes nothing.
struct Opened {
    lower: Vec<OwnedFd>,
    upper: Option<(OwnedFd, OwnedFd)>,
}

impl Opened {
    fn open(layers: &Layers) -> Result<Self, Failure> {
        let lower = layers.lower.iter().rev().map(|path| folder(path));
        let lower = lower.collect::<Result<Vec<_>, _>>()?;
        let upper = match &layers.upper {
            Some((upper, work)) => Some((folder(upper)?, folder(work)?)),
            None => None,
        };
        Ok(Self { lower, upper })
    }

    fn detached(&self) -> io::Result<OwnedFd> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in &self.lower {
            fsconfig_set_string(context.as_fd(), "lowerdir+", named(layer.as_fd()))?;
        }
        match &self.upper {
            Some((upper, work)) => {
                fsconfig_set_string(context.as_fd(), "upperdir", named(upper.as_fd()))?;
                fsconfig_set_string(context.as_fd(), "workdir", named(work.as_fd()))?;
            }
            None => fsconfig_set_flag(context.as_fd(), "ro")?,
        }
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::empty();
        Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
    }

    fn by_options(&self, target: &Path) -> io::Result<()> {
        let lower: Vec<_> = self.lower.iter().map(|layer| named(layer.as_fd())).collect();
        let mut options = format!("lowerdir={}", lower.join(":"));
        if let Some((upper, work)) = &self.upper {
            let (upper, work) = (named(upper.as_fd()), named(work.as_fd()));
            options += &format!(",upperdir={upper},workdir={work}");
        }
        let options = std::ffi::CString::new(options)?;
        Ok(mount("overlay", target, "overlay", MountFlags::empty(), options.as_c_str())?)
    }
}

fn folder(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).step(format_args!("open layer `{}`", path.display()))
}

fn named(folder: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", folder.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_joins_layers_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["low", "high", "place"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::write(path("low/a"), "low").unwrap();
        std::fs::write(path("low/b"), "low").unwrap();
        std::fs::write(path("high/b"), "high").unwrap();
        let read =
            |at: &Path| ["a", "b"].map(|name| std::fs::read_to_string(at.join(name)).unwrap());
        let seen = view(&[path("low"), path("high")], &path("place"), read).unwrap();
        assert_eq!(seen, ["low", "high"]);
        assert_eq!(std::fs::read_dir(path("place")).unwrap().count(), 0);
        let one = view(&[path("low")], &path("place"), read).unwrap();
        assert_eq!(one, ["low", "low"]);
    }

    #[test]
    fn layers_come_back_from_their_options() {
        let layers = Layers {
            lower: vec!["/bottom".into(), "/top".into()],
            upper: Some(("/upper".into(), "/work".into())),
        };
        let options = layers.to_options();
        assert_eq!(
            options,
            ["lowerdir+=/top", "lowerdir+=/bottom", "upperdir=/upper", "workdir=/work"]
        );
        assert_eq!(Layers::from_options(options.iter().map(String::as_str)), layers);
    }
}
