//! What an image has at a path, read from its layers' folders as overlayfs would show them,
//! without a mount.
//!
//! # Invariants
//! - No link is ever followed by the kernel: links are read and resolved here, below the layers.

use rustix::fs::lgetxattr;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// Links that are followed before a path counts as a loop.
const LINKS: usize = 40;

/// A folder of the image: the layers' folders that make it up, top first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder(Vec<PathBuf>);

/// Something in a folder of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Folder(Folder),
    /// A file, link, device or pipe, in the layer that has it.
    Other(PathBuf),
}

/// The folder at an absolute path; `None` where there is none. Layers come bottom first.
pub(super) fn find(layers: &[PathBuf], path: &Path) -> io::Result<Option<Folder>> {
    let root = Folder(layers.iter().rev().cloned().collect());
    let mut above = vec![root];
    let mut rest: VecDeque<OsString> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            above.truncate(above.len().saturating_sub(1).max(1));
            continue;
        }
        let here = above.last().expect("the root stays");
        match here.entry(&part)? {
            None => return Ok(None),
            Some(Entry::Folder(folder)) => above.push(folder),
            Some(Entry::Other(path)) => {
                links += 1;
                let Ok(target) = fs::read_link(&path) else { return Ok(None) };
                if links > LINKS {
                    return Ok(None);
                }
                if target.is_absolute() {
                    above.truncate(1);
                }
                parts(&target).rev().for_each(|part| rest.push_front(part));
            }
        }
    }
    Ok(above.pop())
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

impl Folder {
    /// The folder whose owner, mode and times count.
    pub(super) fn top(&self) -> &Path {
        &self.0[0]
    }

    /// Everything in it, by name.
    pub(super) fn entries(&self) -> io::Result<BTreeMap<OsString, Entry>> {
        let mut names: Vec<OsString> = Vec::new();
        for folder in &self.0 {
            for entry in fs::read_dir(folder)? {
                names.push(entry?.file_name());
            }
        }
        let mut entries = BTreeMap::new();
        for name in names {
            if let Some(entry) = self.entry(&name)? {
                entries.insert(name, entry);
            }
        }
        Ok(entries)
    }

    /// What the layers have by this name: a folder is merged down to the first layer that hides
    /// what is below.
    fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        let mut merged = Vec::new();
        for folder in &self.0 {
            let path = folder.join(name);
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if is_whiteout(&found) {
                break;
            }
            if !found.is_dir() {
                return Ok(match merged.is_empty() {
                    true => Some(Entry::Other(path)),
                    false => Some(Entry::Folder(Self(merged))),
                });
            }
            let opaque = is_opaque(&path);
            merged.push(path);
            if opaque {
                break;
            }
        }
        Ok((!merged.is_empty()).then_some(Entry::Folder(Self(merged))))
    }
}

fn is_whiteout(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0
}

fn is_opaque(folder: &Path) -> bool {
    let mut value = [0_u8; 4];
    let length = lgetxattr(folder, "trusted.overlay.opaque", &mut value);
    length.is_ok_and(|length| length == 1) && value[0] == b'y'
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};
    use std::os::unix::fs::symlink;

    fn names(layers: &[PathBuf], path: &str) -> Option<Vec<String>> {
        let folder = find(layers, Path::new(path)).unwrap()?;
        let names = folder.entries().unwrap().into_keys();
        Some(names.map(|name| name.into_string().unwrap()).collect())
    }

    /// Needs root, as whiteouts and `trusted` attributes do.
    #[test]
    fn layers_show_what_overlayfs_would() {
        let root = tempfile::tempdir().unwrap();
        let [lower, upper] = ["lower", "upper"].map(|name| root.path().join(name));
        for folder in ["data/sub", "hidden", "replaced"] {
            fs::create_dir_all(lower.join(folder)).unwrap();
            fs::write(lower.join(folder).join("old"), "").unwrap();
        }
        fs::create_dir_all(upper.join("data")).unwrap();
        fs::write(upper.join("data/new"), "").unwrap();
        fs::create_dir_all(upper.join("hidden")).unwrap();
        let whiteout = upper.join("data/gone");
        fs::write(lower.join("data/gone"), "").unwrap();
        mknodat(CWD, &whiteout, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
        let (name, flags) = ("trusted.overlay.opaque", XattrFlags::empty());
        lsetxattr(upper.join("hidden"), name, b"y", flags).unwrap();
        fs::write(upper.join("replaced"), "").unwrap();
        symlink("/../../data", upper.join("link")).unwrap();
        symlink("loop", upper.join("loop")).unwrap();
        let layers = [lower, upper];
        let strings = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(names(&layers, "/data"), strings(&["new", "sub"]));
        assert_eq!(names(&layers, "/link/sub"), strings(&["old"]));
        assert_eq!(names(&layers, "/hidden"), strings(&[]));
        assert_eq!(names(&layers, "/replaced"), None);
        assert_eq!(names(&layers, "/loop"), None);
        assert_eq!(names(&layers, "/nowhere"), None);
    }
}
