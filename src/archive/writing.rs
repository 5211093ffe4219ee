//! How a backup is written: beside its place, and moved there once it is whole and on the disk.

use super::gathering::gather;
use super::{ArchiveError, BackupManifest, FORM, HEAD, io_error};
use keel_reconciler::store::Entry;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How often files are read that change meanwhile.
const TRIES: usize = 5;

/// Writes a backup of these entries and of a root's files; its owner alone can read it.
pub fn write(
    to: &Path,
    manifest: &BackupManifest,
    entries: &[Entry],
    root: &Path,
) -> Result<(), ArchiveError> {
    let beside = beside(to);
    let written = until_still(&beside, manifest, entries, root)
        .and_then(|()| fs::rename(&beside, to).map_err(io_error("write", to)))
        .and_then(|()| sync_folder(to));
    if written.is_err() {
        // It may not be there.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn beside(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

fn sync_folder(of: &Path) -> Result<(), ArchiveError> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("write", folder))
}

/// A push or a refresh changes files: then all are read again.
fn until_still(
    at: &Path,
    manifest: &BackupManifest,
    entries: &[Entry],
    root: &Path,
) -> Result<(), ArchiveError> {
    for _ in 0..TRIES {
        let before = gather(root)?;
        let paths = before.iter().map(|found| found.path.as_path());
        match write_once(at, manifest, entries, root, paths) {
            Ok(()) if gather(root)? == before => return Ok(()),
            Ok(()) => {}
            Err(error) if is_gone(&error) && gather(root)? != before => {}
            Err(error) => return Err(io_error("write", at)(error)),
        }
    }
    Err(ArchiveError::Restless(root.to_owned()))
}

/// What was there is gone, or is shorter now.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof)
}

fn write_once<'a>(
    at: &Path,
    manifest: &BackupManifest,
    entries: &[Entry],
    root: &Path,
    paths: impl Iterator<Item = &'a Path>,
) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(at)?;
    let mut hashed = Hashed { file, hash: Sha256::new() };
    hashed.write_all(format!("{HEAD}{FORM}\n").as_bytes())?;
    let mut archive = tar::Builder::new(zstd::Encoder::new(hashed, 3)?);
    archive.follow_symlinks(false);
    append(&mut archive, "manifest.json", &serde_json::to_vec(manifest)?)?;
    for entry in entries {
        append(&mut archive, &format!("store/{}", entry.key), &entry.value)?;
    }
    for path in paths {
        archive.append_path_with_name(root.join(path), path)?;
    }
    let Hashed { mut file, hash } = archive.into_inner()?.finish()?;
    file.write_all(format!("sha256 {:x}\n", hash.finalize()).as_bytes())?;
    file.sync_all()
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)
}

/// A file whose digest is known once it is written.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
