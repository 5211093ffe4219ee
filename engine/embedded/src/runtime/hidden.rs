//! Parts of /proc and /sys that a container does not see, or cannot write to.

use super::failure::{AtStep, Failure};
use super::mount_options::Options;
use super::mounting;
use super::oci::Spec;
use super::within::{self, Root};
use rustix::fs::{FileType, OFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Covers masked paths and makes read-only ones so. What does not exist needs neither.
pub fn cover(spec: &Spec, root: &Root) -> Result<(), Failure> {
    for path in &spec.linux.readonly_paths {
        if let Some(target) = find(root, path)? {
            freeze(&target).step(format_args!("make `{path}` read-only"))?;
        }
    }
    let mut masks = Masks { nothing: None, empty: None };
    for path in &spec.linux.masked_paths {
        if let Some(target) = find(root, path)? {
            masks.put(root, &target).step(format_args!("mask `{path}`"))?;
        }
    }
    Ok(())
}

fn find(root: &Root, path: &str) -> Result<Option<OwnedFd>, Failure> {
    match root.at(Path::new(path), OFlags::PATH) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::at(format_args!("look at `{path}`"), error)),
    }
}

/// The very mount that is changed is the one that is attached: nothing is looked up twice.
fn freeze(target: &OwnedFd) -> io::Result<()> {
    let part = mounting::clone_at(target.as_fd(), Path::new(""), true)?;
    mounting::make_read_only(part.as_fd(), true)?;
    mounting::attach(part.as_fd(), target.as_fd())
}

/// What is put over files and folders.
struct Masks {
    nothing: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Masks {
    fn put(&mut self, root: &Root, target: &OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(target)?;
        let part = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            self.folder()?
        } else {
            self.file(root)?
        };
        mounting::attach(part.as_fd(), target.as_fd())
    }

    /// The first one is attached as it is; further ones are its clones.
    fn folder(&mut self) -> io::Result<OwnedFd> {
        if let Some(empty) = &self.empty {
            return mounting::clone_at(empty.as_fd(), Path::new(""), false);
        }
        let options = Options::sort(["ro", "nosuid", "noexec", "nodev", "mode=755"]);
        let made = mounting::file_system("tmpfs", "tmpfs", &options)?;
        self.empty = Some(made.try_clone()?);
        Ok(made)
    }

    /// /dev/null, and only if it is.
    fn file(&mut self, root: &Root) -> io::Result<OwnedFd> {
        if self.nothing.is_none() {
            self.nothing = Some(root.at(Path::new("/dev/null"), OFlags::PATH | OFlags::NOFOLLOW)?);
        }
        let null = self.nothing.as_ref().expect("it was set just now");
        if !within::is_null(null.as_fd())? {
            return Err(io::Error::other("/dev/null is not the null device"));
        }
        mounting::clone_at(null.as_fd(), Path::new(""), false)
    }
}
