//! How a backup takes its place in a root.
//!
//! # Invariants
//! - Everything is written beside first: where the disk is full, or the backup is of no use, nothing has changed.
//! - While the root's parts are exchanged a mark says so, with which nothing opens the root; whoever is interrupted
//!   restores again.

use super::reading::Backup;
use super::{ArchiveError, FILES, FOLDERS, io_error};
use crate::root::interrupted;
use keel_durable::{Hold, Late};
use keel_embedded::Layout;
use keel_reconciler::store::{FileStore, Keep, Store, StoreError};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

/// What is exchanged as a whole. What has its digest as its name is added to what is there.
const WHOLE: [&str; 2] = ["records", "repos"];

/// What was restored.
pub struct Placed {
    /// The store's entries.
    pub entries: Vec<(String, Vec<u8>)>,
}

/// Puts a backup in a root's place. `change` may change entries on their way.
pub async fn place(
    mut backup: Backup,
    layout: &Layout,
    change: impl FnOnce(&mut Vec<(String, Vec<u8>)>) -> Result<(), String>,
) -> Result<Placed, ArchiveError> {
    let beside = layout.root().join("restore.new");
    let at = beside.clone();
    let (backup, unpacked) = keel_blocking::run(move || {
        let unpacked = clear(&at).and_then(|()| unpack(&mut backup, &at));
        (backup, unpacked)
    })
    .await;
    let mut entries = unpacked?;
    change(&mut entries).map_err(|why| backup.unusable(why))?;
    store(&beside, &entries).await.map_err(|error| backup.unusable(error))?;
    let (layout, from) = (layout.clone(), backup.path().to_owned());
    keel_blocking::run(move || exchange(&layout, &beside, &from)).await?;
    Ok(Placed { entries })
}

fn clear(folder: &Path) -> Result<(), ArchiveError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Writes files below a folder, and gives the entries of the store.
fn unpack(backup: &mut Backup, to: &Path) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
    keel_durable::make_folder(to, 0o700).map_err(io_error("create", to))?;
    let mut found = vec![];
    let unpacked = backup.archive()?.entries().and_then(|all| {
        for entry in all {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            match part_of(&path) {
                Part::Manifest => {}
                Part::Entry(key) => {
                    let mut value = vec![];
                    entry.read_to_end(&mut value)?;
                    found.push((key, value));
                }
                Part::File => drop(entry.unpack_in(to)?),
                Part::Unknown => {
                    let why = format!("it holds `{}`, which no backup has", path.display());
                    return Err(io::Error::new(ErrorKind::InvalidData, why));
                }
            }
        }
        Ok(())
    });
    match unpacked {
        Ok(()) => Ok(found),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(backup.unusable(error)),
        Err(error) => Err(io_error("write below", to)(error)),
    }
}

enum Part {
    Manifest,
    Entry(String),
    File,
    Unknown,
}

fn part_of(path: &Path) -> Part {
    let Some(text) = path.to_str() else {
        return if is_below_folders(path) { Part::File } else { Part::Unknown };
    };
    match text.strip_prefix("store/") {
        Some(key) => Part::Entry(key.to_owned()),
        None if text == "manifest.json" => Part::Manifest,
        None if FILES.contains(&text) || is_below_folders(path) => Part::File,
        None => Part::Unknown,
    }
}

fn is_below_folders(path: &Path) -> bool {
    let first = path.components().next();
    FOLDERS.iter().any(|name| first == Some(Component::Normal(name.as_ref())))
}

async fn store(beside: &Path, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
    let late = Late::new(beside, beside.join("late"));
    let store = FileStore::open(beside.join("records"), late)?;
    for (key, value) in entries {
        store.put(key, value.clone(), 0, Keep::OnDisk).await?;
    }
    Ok(())
}

fn exchange(layout: &Layout, beside: &Path, from: &Path) -> Result<(), ArchiveError> {
    let root = layout.root();
    sync(beside)?;
    let mark = interrupted(layout);
    let why = format!("keel restore {}\n", from.display());
    keel_durable::replace(&mark, why.as_bytes(), 0o600, Hold::Power)
        .map_err(io_error("write", &mark))?;
    let late = layout.late();
    late.paths(&root.join("records")).iter().for_each(|path| late.forget(path));
    for name in WHOLE {
        clear(&root.join(name))?;
        place_one(&beside.join(name), &root.join(name))?;
    }
    for name in FOLDERS.iter().filter(|name| !WHOLE.contains(name)) {
        add_all(&beside.join(name), &root.join(name))?;
    }
    // Another pool's would be taken for this one's.
    for name in FILES {
        place_one(&beside.join(name), &root.join(name))?;
    }
    sync(root)?;
    fs::remove_file(&mark).map_err(io_error("remove", &mark))?;
    sync(root)?;
    clear(beside)
}

/// Moves what is there; else nothing is at its place afterwards.
fn place_one(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    let folder = to.parent().unwrap_or(to);
    if !from.exists() {
        return match fs::remove_file(to) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", to)(error)),
            _ => Ok(()),
        };
    }
    keel_durable::make_folder(folder, 0o700).map_err(io_error("create", folder))?;
    fs::rename(from, to).map_err(io_error("write", to))
}

fn add_all(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    if !from.exists() {
        return Ok(());
    }
    keel_durable::make_folder(to, 0o700).map_err(io_error("create", to))?;
    for entry in fs::read_dir(from).map_err(io_error("read", from))? {
        let name: PathBuf = entry.map_err(io_error("read", from))?.file_name().into();
        let at = to.join(&name);
        if !at.exists() {
            fs::rename(from.join(&name), &at).map_err(io_error("write", &at))?;
        }
    }
    Ok(())
}

/// All that was written below is on the disk.
fn sync(folder: &Path) -> Result<(), ArchiveError> {
    let synced = File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.map_err(io_error("write", folder))
}
