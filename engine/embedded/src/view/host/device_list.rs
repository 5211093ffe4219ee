//! Which devices the host has, as a bounded list of paths below one folder.
//!
//! # Invariants
//! - No link that leaves the folder is followed: what it leads to is unknown, and may be on a file system that
//!   does not respond.
//! - Other file systems below the folder are not listed: `/dev/pts` changes with every terminal.

use keel_beneath::{Folder, Refused};
use keel_engine::HostDevices;
use rustix::fs::{FileType, OFlags, fstat};
use std::io;
use std::path::{Path, PathBuf};

/// As many paths as are listed at most. Beyond that, what is not listed is unknown.
pub(super) const MANY: usize = 4096;

/// As many folders below one another are listed.
const DEEP: usize = 8;

/// Lists the devices below `top`. Each folder is handed to `watch` before it is read.
pub(super) fn list(
    top: &Path,
    many: usize,
    watch: &mut dyn FnMut(PathBuf),
) -> io::Result<HostDevices> {
    let folder = Folder::open(top)?;
    let device = fstat(folder.at(Path::new("."), OFlags::PATH)?)?.st_dev;
    let found = HostDevices { listed: [shown(top)].into(), ..HostDevices::default() };
    let mut listing = Listing { top, folder, device, many, found, watch };
    listing.walk(Path::new(""), 0)?;
    Ok(listing.found)
}

struct Listing<'a> {
    top: &'a Path,
    folder: Folder,
    /// The file system that the folder is on.
    device: u64,
    many: usize,
    found: HostDevices,
    watch: &'a mut dyn FnMut(PathBuf),
}

/// What a task gets that asks for a path.
enum Entry {
    Device,
    Folder { same_system: bool },
    Else,
}

impl Listing<'_> {
    fn walk(&mut self, below: &Path, depth: usize) -> io::Result<()> {
        (self.watch)(self.top.join(below));
        let here = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        for name in self.folder.names(here)? {
            if self.found.paths.len() >= self.many {
                self.found.unlisted.insert(shown(self.top));
                return Ok(());
            }
            self.take(&below.join(name), depth);
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, depth: usize) {
        let name = shown(&self.top.join(path));
        let is_link = self.at(path, OFlags::NOFOLLOW).is_ok_and(|(kind, _)| kind.is_symlink());
        match self.entry(path) {
            Ok(Entry::Device) => drop(self.found.paths.insert(name)),
            Ok(Entry::Folder { same_system }) => {
                self.found.paths.insert(name.clone());
                let is_listed = !is_link && same_system && depth < DEEP;
                if !is_listed || self.walk(path, depth + 1).is_err() {
                    self.found.unlisted.insert(name);
                }
            }
            Ok(Entry::Else) => {}
            // A link that leads nowhere, or something that went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => drop(self.found.unlisted.insert(name)),
        }
    }

    /// What is at a path; links are followed as far as they stay in the folder.
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let found = self.at(path, OFlags::empty());
        let (kind, device) = match found {
            // A link by an absolute path may come back into the folder.
            Err(error) if Refused::of(&error) == Some(Refused::Leaves) => {
                let link = rustix::fs::readlink(self.top.join(path), Vec::new())?;
                let link = PathBuf::from(String::from_utf8_lossy(link.as_bytes()).into_owned());
                let inside = link.strip_prefix(self.top).map_err(|_| error)?;
                self.at(inside, OFlags::empty())?
            }
            other => other?,
        };
        Ok(match kind {
            FileType::BlockDevice | FileType::CharacterDevice => Entry::Device,
            FileType::Directory => Entry::Folder { same_system: device == self.device },
            _ => Entry::Else,
        })
    }

    fn at(&self, path: &Path, flags: OFlags) -> io::Result<(FileType, u64)> {
        let found = fstat(self.folder.at(path, OFlags::PATH | flags)?)?;
        Ok((FileType::from_raw_mode(found.st_mode), found.st_dev))
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, makedev, mknodat};
    use std::fs;
    use std::os::unix::fs::symlink;

    fn node(path: &Path) {
        let kind = FileType::CharacterDevice;
        mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), makedev(1, 3)).unwrap();
    }

    /// A folder such as /dev; links lead out of it to a device and to a folder with one.
    fn dev() -> (tempfile::TempDir, PathBuf) {
        let host = tempfile::tempdir().unwrap();
        let dev = host.path().join("dev");
        fs::create_dir_all(dev.join("snd/by-id")).unwrap();
        fs::create_dir(host.path().join("out")).unwrap();
        node(&host.path().join("out/node"));
        node(&dev.join("null"));
        node(&dev.join("snd/timer"));
        fs::write(dev.join("file"), "").unwrap();
        for (target, link) in [
            ("../timer", "snd/by-id/clock"),
            ("null", "nothing"),
            ("gone", "dangling"),
            ("../out/node", "escape"),
            ("snd", "sound"),
        ] {
            symlink(target, dev.join(link)).unwrap();
        }
        symlink(dev.join("null"), dev.join("absolute")).unwrap();
        symlink(host.path().join("out"), dev.join("outside")).unwrap();
        (host, dev)
    }

    #[test]
    fn devices_and_links_to_them_are_listed_and_nothing_outside() {
        let (_host, dev) = dev();
        let mut watched = vec![];
        let found = list(&dev, MANY, &mut |folder| watched.push(folder)).unwrap();
        let has = |path: &str| found.has(&shown(&dev.join(path)));
        for there in ["null", "nothing", "absolute", "snd", "snd/timer", "snd/by-id/clock", "sound"]
        {
            assert_eq!(has(there), Some(true), "{there}: {found:?}");
        }
        for missing in ["gone", "dangling", "file", "ttyUSB0", "snd/by-id/other"] {
            assert_eq!(has(missing), Some(false), "{missing}: {found:?}");
        }
        for unknown in ["escape", "outside", "outside/node", "sound/timer"] {
            assert_eq!(has(unknown), None, "{unknown}: {found:?}");
        }
        watched.sort();
        assert_eq!(watched, [dev.clone(), dev.join("snd"), dev.join("snd/by-id")]);
    }

    #[test]
    fn beyond_the_bound_what_is_not_listed_is_unknown() {
        let (_host, dev) = dev();
        let found = list(&dev, 1, &mut |_| {}).unwrap();
        assert_eq!(found.paths.len(), 1, "{found:?}");
        assert_eq!(found.has(&shown(&dev.join("ttyUSB0"))), None, "{found:?}");
    }

    #[test]
    fn this_machine_has_the_usual_devices() {
        let found = list(Path::new("/dev"), MANY, &mut |_| {}).unwrap();
        assert_eq!(found.has("/dev/null"), Some(true), "{found:?}");
        assert_eq!(found.has("/dev/keel-has-no-such-device"), Some(false), "{found:?}");
        assert_eq!(found.has("/dev/pts/0"), None, "each terminal would be a change: {found:?}");
    }
}
