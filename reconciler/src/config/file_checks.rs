//! The files that `keel.yaml` names: whether they are there, and who may read them.

use super::named::{Named, Role};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a secret's file holds, but for one newline at its end: editors put it there.
pub fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = std::fs::read(path)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
    }
    Ok(bytes)
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It cannot be used.
    Error(String),
    /// It can, but should not be like that.
    Warning(String, String),
}

pub(super) fn look(file: &Named) -> Option<Fault> {
    let shown = file.path.display();
    let found = match std::fs::metadata(&file.path) {
        Ok(found) => found,
        Err(error) => return Some(Fault::Error(format!("cannot read `{shown}`: {error}"))),
    };
    match (file.role, found.is_dir()) {
        // A folder of a source may be a single Compose file.
        (Role::Folder, _) => None,
        (_, true) => Some(Fault::Error(format!("`{shown}` is a folder, and must be a file"))),
        (Role::File, false) => None,
        (Role::Secret, false) => match read_secret(&file.path) {
            Err(error) => Some(Fault::Error(format!("cannot use `{shown}`: {error}"))),
            Ok(_) => open_to_others(&found, &file.path),
        },
        (Role::Key, false) => key_open_to_others(&found, &file.path),
    }
}

fn open_to_others(found: &Metadata, path: &Path) -> Option<Fault> {
    let open = found.permissions().mode() & 0o004 != 0;
    open.then(|| {
        let shown = path.display();
        Fault::Warning(format!("everybody may read `{shown}`"), format!("chmod 600 {shown}"))
    })
}

/// `ssh` refuses such a key.
fn key_open_to_others(found: &Metadata, path: &Path) -> Option<Fault> {
    let open = found.permissions().mode() & 0o077 != 0;
    open.then(|| {
        let shown = path.display();
        Fault::Error(format!(
            "others may use the key `{shown}`, so `ssh` refuses it: chmod 600 {shown}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_at_the_end_is_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let cases: [(&str, Option<&[u8]>); 6] = [
            ("s", Some(b"s")),
            ("s\n", Some(b"s")),
            ("s\r\n", Some(b"s")),
            ("s\n\n", Some(b"s\n")),
            ("\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read_secret(&file).ok().as_deref(), expected, "{text:?}");
        }
        assert!(read_secret(folder.path()).is_err());
    }
}
