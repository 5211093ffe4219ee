//! What a disk does not take of a task: its state, and the wish that it shall stop. Kept in memory until the
//! disk takes it ([`keel_durable::Late`]), and found there by whoever reads.
//!
//! What a shim knows of its process must not be lost: a dead one would be shown as running for ever.

use crate::root::layout::{Layout, TaskDir};
use crate::root::record::{self, ShimState};
use keel_durable::{Hold, Late, Stored};
use keel_engine::{Goal, TaskAssignment};
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};

/// Whether anything of this root is in memory: almost never, and every look at every task asks.
pub(crate) fn is_any(layout: &Layout) -> bool {
    layout.late().is_any()
}

/// A task's state, wherever it is.
pub fn load_state(dir: &TaskDir) -> io::Result<Option<ShimState>> {
    match read(dir, &dir.state()) {
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

/// A wish that the disk does not take yet. Whoever stored a newer one there may have died before this one
/// was dropped.
pub(crate) fn late_wish(dir: &TaskDir) -> Option<TaskAssignment> {
    let late: TaskAssignment = read(dir, &dir.assignment())?;
    let on_disk: Option<TaskAssignment> = record::load(&dir.assignment()).ok().flatten();
    let age = |wish: &TaskAssignment| (wish.generation, wish.goal);
    on_disk.is_none_or(|wish| age(&wish) < age(&late)).then_some(late)
}

/// Keeps the wish that a task shall stop, on a disk that takes no wishes.
pub(crate) fn keep_stop(dir: &TaskDir, wish: &TaskAssignment) -> io::Result<()> {
    let force = wish.force || wish.goal == Goal::Removed;
    let stop = TaskAssignment { goal: Goal::Stopped, force, ..wish.clone() };
    let late = late(dir).ok_or(io::ErrorKind::InvalidInput)?;
    late.keep(&dir.assignment(), &serde_json::to_vec(&stop)?)
}

/// Stores a task's state; `hold` is what it outlives on the disk.
pub fn store_state(dir: &TaskDir, state: &ShimState, hold: Hold) -> io::Result<Stored> {
    let late = late(dir).ok_or(io::ErrorKind::InvalidInput)?;
    late.replace(&dir.state(), &serde_json::to_vec(state)?, 0o600, hold)
}

/// The files that may be in memory of a task.
pub(crate) fn records(dir: &TaskDir) -> impl Iterator<Item = PathBuf> + use<> {
    let late = late(dir);
    let place = move |path: PathBuf| late.as_ref().and_then(|late| late.place(&path));
    [dir.state(), dir.assignment()].into_iter().filter_map(place)
}

/// Brings what had to be left in memory to the disk: a state only while no shim lives.
pub(crate) fn settle(dir: &TaskDir) {
    if let Some(state) = read::<ShimState>(dir, &dir.state())
        && !state.shim.as_ref().is_some_and(record::Process::lives)
    {
        // Else the next look tries again.
        let _ = store_state(dir, &state, Hold::Power);
    }
    if let Some(wish) = late_wish(dir)
        && record::store(&dir.assignment(), &wish).is_ok()
    {
        forget_wish(dir);
    }
}

/// A newer wish is on the disk.
pub(crate) fn forget_wish(dir: &TaskDir) {
    forget_record(dir, &dir.assignment());
}

/// A newer state is on the disk.
pub(crate) fn forget_state(dir: &TaskDir) {
    forget_record(dir, &dir.state());
}

/// What is in memory of a task is of no use any more.
pub(crate) fn forget(dir: &TaskDir) {
    forget_state(dir);
    forget_wish(dir);
}

fn forget_record(dir: &TaskDir, path: &Path) {
    if let Some(late) = late(dir) {
        late.forget(path);
    }
}

fn read<T: DeserializeOwned>(dir: &TaskDir, path: &Path) -> Option<T> {
    serde_json::from_slice(&late(dir)?.read(path)?).ok()
}

fn late(dir: &TaskDir) -> Option<Late> {
    Some(dir.layout()?.late())
}
