//! Whether what the root lies on can hold containers: their files are the upper layer of an overlay, which
//! not every file system can be. It is tried, since no list of names would be right about every kernel.

use crate::Layout;
use crate::runtime::failure::Failure;
use crate::runtime::overlay::{Layers, writable};
use keel_engine::{EngineError, Result};
use std::path::Path;
use std::{fs, io};

/// Says so before anything is made there that would fail for it later. Only for whoever drives the root.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    let folder = layout.root().join(".ground");
    // Of one that was killed meanwhile.
    let made = keel_beneath::remove(&folder).and_then(|()| trial(&folder));
    // Full or read-only: whoever ends things or makes room must be able to begin.
    let Ok(layers) = made else {
        let _ = keel_beneath::remove(&folder);
        return Ok(());
    };
    let tried = writable(&layers, &folder.join("place"), FILE);
    // Left behind, it goes at the next start.
    let _ = keel_beneath::remove(&folder);
    tried.map_err(|failure| unfit(layout.root(), &failure))
}

const FILE: &str = "file";

/// What a trial takes up at most: bytes.
const ROOM: usize = 128 << 10;

fn trial(folder: &Path) -> io::Result<Layers> {
    let at = |name: &str| folder.join(name);
    fs::create_dir(folder)?;
    // Where a disk lacks the few blocks that the trial itself needs, overlayfs only says that it takes no
    // writes: that there is room is found out before.
    fs::write(at("room"), [0; ROOM])?;
    ["lower", "upper", "work", "place"].iter().try_for_each(|name| fs::create_dir(at(name)))?;
    fs::write(at("lower").join(FILE), "")?;
    fs::remove_file(at("room"))?;
    Ok(Layers { lower: vec![at("lower")], upper: Some((at("upper"), at("work"))) })
}

fn unfit(root: &Path, failure: &Failure) -> EngineError {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let kind = kind_of(&mounts, root).unwrap_or("a file system");
    EngineError::Conflict {
        what: format!(
            "the root {} is on {kind}, where overlayfs cannot keep containers' files ({failure})",
            root.display()
        ),
        hint: Some(
            "put it on ext4, xfs, btrfs or tmpfs: `--root DIR`, or mount one of these there (where keel \
             itself runs in a container: a volume)"
                .into(),
        ),
    }
}

/// The file system that a path is on, by the text of `/proc/PID/mountinfo` (proc(5)): the last mount on the
/// nearest folder above it.
fn kind_of<'a>(mountinfo: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (fields, end) = line.split_once(" - ")?;
        Some((fields.split(' ').nth(4)?, end.split(' ').next()?))
    };
    let above = mountinfo.lines().filter_map(mount).filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /srv rw shared:1 - nfs4 a:/ rw\n\
                    3 2 0:6 / /srv/keel rw - overlay overlay rw\n4 2 0:7 / /srv/keel rw - tmpfs tmpfs rw\n";
        for (path, kind) in
            [("/var", "ext4"), ("/srvx", "ext4"), ("/srv/a", "nfs4"), ("/srv/keel/root", "tmpfs")]
        {
            assert_eq!(kind_of(text, Path::new(path)), Some(kind), "{path}");
        }
    }
}
