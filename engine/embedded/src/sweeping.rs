//! Makes room: images, contents and trees that whoever drives says may go, but for what the node itself
//! needs.
//!
//! # Invariants
//! - No wish is taken meanwhile, so nothing goes that one names: a task's image, its configs,
//!   secrets and files. While an image is pulled none goes, nor any part of one.
//! - Files are moved away first, at once, and deleted when no lock is held any more.

use crate::desk::Desk;
use crate::task::records::Records;
use crate::{Layout, blocking, root::trees, task::records, volumes};
use keel_engine::{Digest, Lease, Result, Sweep, Swept, TaskAssignment, Usage};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Takes away what may go.
pub(crate) async fn sweep_room(
    desk: &Arc<Desk>,
    lease: Option<&Lease>,
    sweep: &Sweep,
) -> Result<Swept> {
    if !sweep.dry {
        desk.must_drive()?;
    }
    let _at_root = desk.turn_under(lease).await?;
    let (swept, trash, aside) = {
        let _taking = desk.taking.lock().await;
        let (at, sweep) = (Arc::clone(desk), sweep.clone());
        blocking::run(move || swept(&at, &sweep)).await?
    };
    // It may take a while; should this process die, the next one goes on with it.
    let root = desk.layout.root().to_owned();
    desk.spawn(blocking::run(move || {
        drop(trash);
        // What is left of one goes with the next sweep.
        aside.iter().for_each(|tree| drop(keel_beneath::remove(tree)));
        // There may be room for what was used up of it.
        let _ = keel_durable::keep_reserve(&root);
    }));
    Ok(swept)
}

/// Besides what went, where it is now: to be deleted where no lock is held.
fn swept(desk: &Desk, sweep: &Sweep) -> Result<(Swept, Option<keel_images::Trash>, Vec<PathBuf>)> {
    let all = desk.view.records()?;
    let kept = kept(sweep, &all);
    let mut swept = contents(&desk.layout, sweep, &kept);
    let before = time(sweep.trees_before);
    let aside = trees::set_aside(&desk.layout, &kept, before, sweep.dry);
    swept.trees = aside.len() as u64;
    swept.bytes += aside.iter().map(|tree| size(tree)).sum::<u64>();
    let aside = if sweep.dry { Vec::new() } else { aside };
    let images = all.iter().flat_map(|task| wishes(task)).map(|wish| wish.spec.image.clone());
    let needed = sweep.needed.iter().cloned().chain(images).collect();
    let own = all.iter().flat_map(|task| {
        let told = wishes(task).filter_map(|wish| wish.digest);
        task.work.digest.iter().cloned().chain(told)
    });
    let in_use: BTreeSet<Digest> = sweep.digests.iter().cloned().chain(own).collect();
    let before = time(sweep.images_before);
    let gone = desk.images.sweep(&sweep.images, &needed, &in_use, before, sweep.dry)?;
    let Some(gone) = gone else {
        return Ok((Swept { waits: true, ..swept }, None, aside));
    };
    swept.images = gone.names.iter().map(ToString::to_string).collect();
    swept.bytes += gone.bytes;
    Ok((swept, gone.trash, aside))
}

/// What takes up how much.
pub(crate) async fn usage(desk: &Arc<Desk>) -> Result<Usage> {
    let desk = Arc::clone(desk);
    blocking::run(move || {
        let layout = &desk.layout;
        let ids = records::ids(layout)?.into_iter();
        let own = volumes::all(layout)?.into_iter().map(|volume| volume.spec.name);
        Ok(Usage {
            images: desk.images.size()?,
            tasks: ids.map(|id| (id.clone(), size(&layout.task(&id).0))).collect(),
            volumes: own.map(|name| (name.clone(), size(&layout.volumes().join(name)))).collect(),
            contents: size(&layout.secrets()) + size(&layout.trees()),
        })
    })
    .await
}

/// Wishes that a task has.
fn wishes(task: &Records) -> impl Iterator<Item = &TaskAssignment> {
    [Some(&task.wish), task.following.as_ref()].into_iter().flatten()
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// What is needed of contents and trees.
fn kept(sweep: &Sweep, all: &[Arc<Records>]) -> BTreeSet<String> {
    let wishes = all.iter().flat_map(|task| wishes(task));
    let named = wishes.flat_map(|wish| wish.spec.contents());
    named.chain(sweep.contents.iter().copied()).map(|digest| digest.hex()).collect()
}

/// Configs and secrets. One that cannot be deleted now is tried again with the next sweep.
fn contents(layout: &Layout, sweep: &Sweep, kept: &BTreeSet<String>) -> Swept {
    let mut swept = Swept::default();
    for entry in fs::read_dir(layout.secrets()).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else { continue };
        let old = found.modified().is_ok_and(|at| at < time(sweep.contents_before));
        let named = kept.contains(&*entry.file_name().to_string_lossy());
        if old && !named && (sweep.dry || fs::remove_file(entry.path()).is_ok()) {
            swept.contents += 1;
            swept.bytes += found.len();
        }
    }
    swept
}

/// Bytes that a folder takes up on the disk. What goes meanwhile takes none.
fn size(folder: &Path) -> u64 {
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(of).sum()
}
