//! What a disk does not take any more: kept in memory until it does, and found there by whoever reads.
//!
//! A disk that is full has its reserve; one that the kernel made read-only has nothing. What a shim knows
//! of its process must not be lost for that: a dead one would be shown as running for ever.
//!
//! # Invariants
//! - A record in memory is newer than the one on the disk, and of this start of the machine.
//! - It goes as soon as the disk takes what it says.

use crate::layout::{Layout, TaskDir};
use crate::record::{self, State};
use keel_durable::Hold;
use keel_durable::boot_id;
use keel_engine::{Goal, TaskAssignment};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Below it each root has a folder, by its key.
const MEMORY: &str = "/run/keel-late";
const STATE: &str = "state";
const WISH: &str = "assignment";

#[derive(Serialize, Deserialize)]
struct Late<T> {
    boot: String,
    record: T,
}

/// Where a state was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Where it belongs.
    OnDisk,
    /// Until the disk takes it.
    InMemory,
    /// Nothing took it.
    Nowhere,
}

/// Whether anything of this root is in memory: almost never, and every look at every task asks.
pub(crate) fn is_any(layout: &Layout) -> bool {
    PathBuf::from(MEMORY).join(layout.key()).exists()
}

/// A task's state, wherever it is.
pub fn load_state(dir: &TaskDir) -> io::Result<Option<State>> {
    match late(dir, STATE) {
        Some(state) => Ok(Some(state)),
        None => record::load(&dir.state()),
    }
}

/// A task's wish, wherever it is.
pub fn load_wish(dir: &TaskDir) -> io::Result<Option<TaskAssignment>> {
    match late_wish(dir) {
        Some(wish) => Ok(Some(wish)),
        None => record::load(&dir.assignment()),
    }
}

/// A wish that the disk does not take yet.
pub(crate) fn late_wish(dir: &TaskDir) -> Option<TaskAssignment> {
    late(dir, WISH)
}

/// Keeps the wish that a task shall stop, on a disk that takes no wishes.
pub(crate) fn keep_stop(dir: &TaskDir, wish: &TaskAssignment) -> io::Result<()> {
    let force = wish.force || wish.goal == Goal::Removed;
    keep(dir, WISH, &TaskAssignment { goal: Goal::Stopped, force, ..wish.clone() })
}

/// Stores a task's state; `hold` is what it outlives on the disk.
pub fn store_state(dir: &TaskDir, state: &State, hold: Hold) -> Stored {
    let written = serde_json::to_vec(state)
        .map_err(io::Error::from)
        .and_then(|bytes| keel_durable::replace(&dir.state(), &bytes, 0o600, hold));
    match written {
        Ok(()) => {
            drop_late(dir, STATE);
            Stored::OnDisk
        }
        Err(_) if keep(dir, STATE, state).is_ok() => Stored::InMemory,
        Err(_) => Stored::Nowhere,
    }
}

/// The files that may be in memory of a task.
pub(crate) fn records(dir: &TaskDir) -> impl Iterator<Item = PathBuf> + use<> {
    [STATE, WISH].map(|name| path(dir, name)).into_iter().flatten()
}

/// Brings what had to be left in memory to the disk: a state only while no shim lives.
pub(crate) fn settle(dir: &TaskDir) {
    if let Some(state) = late::<State>(dir, STATE)
        && !state.shim.as_ref().is_some_and(record::Process::lives)
    {
        store_state(dir, &state, Hold::Power);
    }
    if let Some(wish) = late_wish(dir)
        && record::store(&dir.assignment(), &wish).is_ok()
    {
        forget_wish(dir);
    }
}

/// A newer wish is on the disk.
pub(crate) fn forget_wish(dir: &TaskDir) {
    drop_late(dir, WISH);
}

/// What is in memory of a task is of no use any more.
pub(crate) fn forget(dir: &TaskDir) {
    drop_late(dir, STATE);
    drop_late(dir, WISH);
}

fn drop_late(dir: &TaskDir, name: &str) {
    let Some(path) = path(dir, name) else { return };
    // Almost always there is none; the folder goes with the last one.
    if fs::remove_file(&path).is_ok() {
        let _ = path.parent().map(fs::remove_dir);
    }
}

fn late<T: DeserializeOwned>(dir: &TaskDir, name: &str) -> Option<T> {
    let late: Late<T> = record::load(&path(dir, name)?).ok()??;
    (late.boot == boot_id()).then_some(late.record)
}

fn keep<T: Serialize>(dir: &TaskDir, name: &str, record: &T) -> io::Result<()> {
    let path = path(dir, name).ok_or(io::ErrorKind::InvalidInput)?;
    keel_durable::make_folder(path.parent().unwrap_or(&path), 0o700)?;
    let late = Late { boot: boot_id(), record };
    record::replace(&path, &serde_json::to_vec(&late)?, 0o600)
}

fn path(dir: &TaskDir, name: &str) -> Option<PathBuf> {
    let (layout, id) = (dir.layout()?, dir.0.file_name()?.to_str()?);
    Some(PathBuf::from(MEMORY).join(layout.key()).join(format!("{id}.{name}")))
}
