//! Links, pipes and devices in a base, read by every spelling of their paths.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

struct Tree {
    folder: tempfile::TempDir,
    bases: Vec<Base>,
}

/// `app` is a base; `secret` is beside it.
fn tree() -> Tree {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    fs::create_dir_all(app.join("data/sub")).unwrap();
    fs::write(folder.path().join("secret"), "canary").unwrap();
    fs::write(app.join("data/file"), "text").unwrap();
    symlink("../../secret", app.join("data/up")).unwrap();
    symlink(folder.path().join("secret"), app.join("data/absolute")).unwrap();
    symlink("up", app.join("data/again")).unwrap();
    symlink("../..", app.join("data/middle")).unwrap();
    symlink("file", app.join("data/inside")).unwrap();
    symlink("/proc/self/environ", app.join("data/environ")).unwrap();
    symlink("/dev/zero", app.join("data/zero")).unwrap();
    symlink(&app, folder.path().join("alias")).unwrap();
    let bases = vec![Base::new(&app, "the stack's folder")];
    Tree { folder, bases }
}

impl Tree {
    fn said(&self, path: &str) -> String {
        let place = Place::of(&self.folder.path().join(path), &self.bases);
        match place.read(8) {
            Ok(content) => String::from_utf8(content).unwrap(),
            Err(error) => error.to_string(),
        }
    }
}

#[test]
fn no_link_leads_out_of_a_base_by_whatever_name() {
    let tree = tree();
    for name in ["up", "absolute", "again", "environ", "zero"] {
        for home in ["app/data", "app/data/../data", "alias/data", "app/../alias/data/sub/.."] {
            let said = tree.said(&format!("{home}/{name}"));
            assert!(
                said.starts_with("it is a link that leaves the stack's folder"),
                "{name}: {said}"
            );
        }
    }
    let said = tree.said("app/data/middle/secret");
    assert!(said.starts_with("`data/middle`, which it goes through, is a link"), "{said}");
    assert_eq!(tree.said("app/data/inside"), "text");
    assert_eq!(tree.said("alias/data/inside"), "text");
}

#[test]
fn a_file_of_the_host_is_read_and_nothing_else_of_it() {
    let tree = tree();
    let said = |path: &str| Place::Host(path.into()).read(8).unwrap_err().to_string();
    assert_eq!(tree.said("secret"), "canary");
    assert_eq!(tree.said("app/../secret"), "canary");
    assert_eq!(said("/dev/zero"), "it is not a regular file");
    assert!(said("/proc/self/environ").contains("made up by the kernel"));
}

#[test]
fn what_is_no_file_or_too_large_is_told_in_words() {
    let tree = tree();
    let error = |path: &str, most| {
        let place = Place::of(&tree.folder.path().join(path), &tree.bases);
        place.read(most).unwrap_err()
    };
    assert_eq!(error("app/data/sub", 8).kind(), ErrorKind::IsADirectory);
    assert_eq!(error("app/none", 8).kind(), ErrorKind::NotFound);
    assert_eq!(error("app/data/file", 3).kind(), ErrorKind::FileTooLarge);
    assert_eq!(error("secret", 3).kind(), ErrorKind::FileTooLarge);
}
