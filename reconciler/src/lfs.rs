//! Files that Git LFS keeps elsewhere: what is here of them is a text that names them. They are not
//! fetched, so whatever needs one is refused by its name.

use crate::places::Place;
use keel_plan::lower::Lack;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Git LFS itself takes nothing larger for a pointer.
const LARGEST: u64 = 1024;
/// How one begins; the others are of its first years.
const FIRST_LINES: [&[u8]; 3] = [
    b"version https://git-lfs.github.com/spec/v",
    b"version https://hawser.github.com/spec/v",
    b"version http://git-media.io/v/",
];

/// Whether it is the text that stands for a file.
pub(crate) fn is_pointer(content: &[u8]) -> bool {
    let has = |words: &[u8]| content.windows(words.len()).any(|part| part == words);
    content.len() as u64 <= LARGEST
        && FIRST_LINES.iter().any(|line| content.starts_with(line))
        && has(b"\noid ")
        && has(b"\nsize ")
}

/// The first one at or below a path of a checkout, where links are not followed.
pub(crate) fn pointer_below(path: &Path) -> io::Result<Option<PathBuf>> {
    let meta = path.symlink_metadata()?;
    if meta.is_file() {
        return Ok(is_pointer_at(path, meta.len())?.then(|| path.to_owned()));
    }
    if !meta.is_dir() {
        return Ok(None);
    }
    let mut entries = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        if let Some(found) = pointer_below(&entry)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_pointer_at(path: &Path, size: u64) -> io::Result<bool> {
    if size > LARGEST {
        return Ok(false);
    }
    let mut content = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
    Ok(is_pointer(&content))
}

/// Whether one is read here. What cannot be read is told by whoever reads it.
pub(crate) fn is_pointer_in(place: &Place) -> bool {
    place.read(LARGEST).is_ok_and(|content| is_pointer(&content))
}

/// What is told of a file in a revision.
pub(crate) fn lack(shown: &Path) -> Lack {
    let hint = "commit the file itself (`git lfs untrack`), or keep it in the source's data folder";
    Lack { why: told(shown), hint: Some(hint.to_owned()) }
}

/// What is told of a file in a folder of this machine.
pub(crate) fn lack_in_folder(shown: &Path) -> Lack {
    Lack { why: told(shown), hint: Some("`git lfs pull` brings the file itself".to_owned()) }
}

fn told(shown: &Path) -> String {
    format!(
        "`{}` is kept in Git LFS, which is not fetched: what is here is the pointer to it",
        shown.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_known_by_its_lines() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let extended = pointer.replace("oid", "ext-0-foo sha256:1\noid");
        let large = format!("{pointer}{}", "x".repeat(1024));
        let cases = [
            (pointer, true),
            (extended.as_str(), true),
            ("version http://git-media.io/v/2\noid sha256:4d7a\nsize 1\n", true),
            ("version https://git-lfs.github.com/spec/v1\n", false),
            (large.as_str(), false),
            ("see version https://git-lfs.github.com/spec/v1\noid 1\nsize 1\n", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_pointer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_first_one_below_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sub = folder.path().join("sub");
        fs::create_dir(&sub).unwrap();
        fs::write(folder.path().join("plain"), "x").unwrap();
        std::os::unix::fs::symlink("/nowhere", sub.join("a")).unwrap();
        assert_eq!(pointer_below(folder.path()).unwrap(), None);
        let pointer = sub.join("big.bin");
        fs::write(&pointer, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n")
            .unwrap();
        assert_eq!(pointer_below(folder.path()).unwrap(), Some(pointer));
    }
}
