//! Where the root is, and what this machine and user are called.

use crate::failure::{Failure, Result};
use keel_embedded::{Layout, layout::DEFAULT_ROOT};
use keel_engine::NodeName;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The layout of a root, whatever way it was written: two ways to one folder must not become two
/// roots.
pub fn layout(root: &Path) -> Layout {
    if root == Path::new(DEFAULT_ROOT) {
        return Layout::new(root);
    }
    Layout::new(&settled(root))
}

/// Absolute, and without links as far as the path exists: a root that is yet to be made gets the
/// same name before and after.
pub fn settled(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut exists = absolute.as_path();
    loop {
        if let Ok(real) = exists.canonicalize() {
            let rest = absolute.strip_prefix(exists).expect("it is one of its ancestors");
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
        match exists.parent() {
            Some(parent) => exists = parent,
            None => return absolute,
        }
    }
}

/// The mark of a restore that is not finished.
pub fn interrupted(layout: &Layout) -> PathBuf {
    layout.root().join("restoring")
}

/// Nothing opens a root of which a part is restored.
pub fn check_restored(layout: &Layout) -> Result<()> {
    match std::fs::read_to_string(interrupted(layout)) {
        Ok(command) => {
            let what = format!("a restore of {} was interrupted", layout.root().display());
            Err(Failure::new(what).hint(format!("run `{}` again", command.trim())))
        }
        Err(_) => Ok(()),
    }
}

/// This node's name.
pub fn node() -> NodeName {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    NodeName::new(name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned()))
}

/// Whoever runs this, for the record: `ann@shop`.
pub fn person() -> String {
    let uid = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let uid = uid.map_or_else(nix::unistd::getuid, nix::unistd::Uid::from_raw);
    let user = passwd_name(uid.as_raw()).unwrap_or_else(|| uid.to_string());
    format!("{user}@{}", node())
}

/// The numeric id of group `keel`, where it exists.
pub fn group() -> Option<u32> {
    let text = std::fs::read_to_string("/etc/group").ok()?;
    id_of(&text, "keel")
}

/// Lets group `keel` pass through a root that its socket is in and that others may not pass.
pub fn admit(layout: &Layout, group: Option<u32>) -> std::io::Result<()> {
    let Some(group) = group.filter(|_| layout.socket().starts_with(layout.root())) else {
        return Ok(());
    };
    let closed = std::fs::metadata(layout.root())?.permissions().mode() & 0o001 == 0;
    if closed { std::os::unix::fs::chown(layout.root(), None, Some(group)) } else { Ok(()) }
}

/// The files are read as they are: a static program cannot ask the C library's modules.
fn passwd_name(uid: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

fn id_of(group_file: &str, name: &str) -> Option<u32> {
    let line = group_file.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_keeps_its_name_once_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let before = layout(&link.join("root"));
        std::fs::create_dir(folder.path().join("root")).unwrap();
        assert_eq!(before, layout(&link.join("root")));
        assert_eq!(before, layout(&folder.path().join("root")));
    }

    #[test]
    fn a_group_is_let_through_a_closed_root_alone() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let group = || std::fs::metadata(layout.root()).unwrap().gid();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(layout.root(), open).unwrap();
        admit(&layout, Some(998)).unwrap();
        assert_ne!(group(), 998);
        let closed = std::fs::Permissions::from_mode(0o710);
        std::fs::set_permissions(layout.root(), closed).unwrap();
        admit(&layout, Some(998)).unwrap();
        assert_eq!(group(), 998);
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let file = "root:x:0:\nkeelhaul:x:7:\nkeel:x:998:ann,bob\n";
        assert_eq!(id_of(file, "keel"), Some(998));
        assert_eq!(id_of("root:x:0:\n", "keel"), None);
    }
}
