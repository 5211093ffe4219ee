//! Makes room: at the start, every hour, after a new revision, and as soon as the disk is full.
//!
//! # Invariants
//! - What may go is decided by [`keel_plan::retention`] alone. From the look until all of it is set
//!   aside no pass runs and no revision is come back to; deleting it takes its time afterwards.
//! - A source whose refresh takes long keeps its checkouts this time.

use crate::desk::Desk;
use crate::record::{Good, RecordError};
use crate::refusal::with_causes;
use crate::rows::{ClearedRow, UsageRow};
use crate::source::checkout;
use futures_util::StreamExt;
use keel_engine::{Assignment, Depth, EngineError, Event, NodeName, Presence, Wish};
use keel_plan::desired::{Desired, Owner};
use keel_plan::retention::{DAY, Decisions, Images, Reach, Revision, decide_for, is_full};
use keel_plan::standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout};

/// Between two looks, while there is room.
const SELDOM: Duration = Duration::from_secs(60 * 60);
/// Between two looks at how full the disk is.
const OFTEN: Duration = Duration::from_secs(60);
/// A push comes with a refresh, passes and pulls: one look after them is enough.
const SOON: Duration = Duration::from_secs(2);
/// How long a refresh under way is waited for: its server may hang, and others wait meanwhile.
const PATIENCE: Duration = Duration::from_millis(200);
/// How much later an image may be remembered to be needed than it was: milliseconds.
const ROUGHLY: u64 = 60 * 60 * 1000;
/// Checkouts that are kept beside those in use, newest first.
const KEPT: usize = 3;

/// Why no room could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomError {
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("cannot remove old checkouts")]
    Checkouts(#[from] io::Error),
}

/// What is remembered of a stack's revisions.
pub(crate) struct KeptRevisions {
    desired: Option<Arc<Desired>>,
    standing: Arc<Standing>,
    good: Arc<Vec<Good>>,
}

impl KeptRevisions {
    /// Each of them, with what its images mean.
    pub(crate) fn all(&self) -> impl Iterator<Item = Revision<'_>> {
        let standing = &self.standing;
        let desired = self.desired.as_deref().map(|desired| (desired, &standing.pins));
        let good = standing.good_desired.as_deref().map(|good| (good, &standing.good_images));
        let pinned = standing.pinned.as_deref().map(|pinned| (&pinned.desired, &pinned.images));
        let earlier = self.good.iter().map(|good| (&good.desired, &good.images));
        let all = desired.into_iter().chain(good).chain(pinned).chain(earlier);
        all.map(|(desired, images)| Revision { desired, images })
    }
}

/// A source that is not being refreshed, and will not be meanwhile.
struct Quiet {
    folder: PathBuf,
    _turn: OwnedMutexGuard<()>,
}

/// Looks for as long as the controller serves.
pub(crate) async fn collect_garbage(desk: Arc<Desk>) {
    let mut images = desk.fleet().events().filter(|event| {
        let tells = matches!(event, Event::Image(_) | Event::Missed);
        std::future::ready(tells)
    });
    let mut due = Instant::now();
    loop {
        let seen = desk.fleet().observe(Depth::State).await;
        let full = seen.is_ok_and(|seen| seen.all_known().any(|(_, seen)| is_full(seen)));
        if full || Instant::now() >= due {
            let reach = if full { Reach::Full } else { Reach::Old };
            let waits = desk.clear_and_note(reach).await;
            due = Instant::now() + if waits { OFTEN } else { SELDOM };
        }
        tokio::select! {
            () = tokio::time::sleep(OFTEN) => {}
            () = desk.room_wanted() => {
                tokio::time::sleep(SOON).await;
                due = Instant::now();
            }
            Some(_) = images.next() => tokio::time::sleep(SOON).await,
        }
    }
}

impl Desk {
    /// Remembers that a stack needs the images of these wishes.
    pub(crate) async fn note_needed(&self, wishes: &[Wish]) -> Result<(), RecordError> {
        let pulled = wishes.iter().filter_map(|wish| match &wish.what {
            Assignment::Image { reference, wanted: Presence::Present, .. } => Some(reference),
            _ => None,
        });
        let (pulled, now): (Vec<_>, _) = (pulled.collect(), self.now());
        if pulled.is_empty() {
            return Ok(());
        }
        let note = |images: &mut Images| {
            for reference in &pulled {
                let at = images.needed.entry((*reference).clone()).or_default();
                if now.saturating_sub(*at) >= ROUGHLY {
                    *at = now;
                }
            }
        };
        self.records().change_images(note).await
    }

    /// Whether something is to be tried again soon.
    async fn clear_and_note(&self, reach: Reach) -> bool {
        let (cleared, waits) = match self.clear(reach).await {
            Ok(cleared) => cleared,
            Err(error) => {
                let trouble = Some(format!("no room could be made: {}", with_causes(&error)));
                (ClearedRow { at: self.now(), trouble, ..ClearedRow::default() }, true)
            }
        };
        let nothing = ClearedRow { at: cleared.at, ..ClearedRow::default() };
        if cleared != nothing {
            self.note_cleared(cleared);
        }
        waits
    }

    /// Takes away what may go. Says besides whether something waits for the end of a pull or
    /// refresh.
    pub(crate) async fn clear(&self, reach: Reach) -> Result<(ClearedRow, bool), RoomError> {
        let (sources, busy) = self.quiet_sources().await?;
        let (swept, aside, noted) = {
            let driving = self.fleet().turn_everywhere().await?;
            let _alone = self.take_away().await;
            let decision = self.decide_room(reach).await?;
            let swept = self.fleet().sweep(Some(&driving), &decision.sweeps).await?;
            let folders: Vec<_> = sources.iter().map(|source| source.folder.clone()).collect();
            let gone = self.sources_gone(&folders).await?;
            let keep = decision.folders;
            let aside = keel_blocking::run(move || set_aside(&folders, &gone, &keep)).await?;
            let needed = decision.images.needed;
            let note = |images: &mut Images| images.needed.clone_from(&needed);
            // Its failure stops nothing: on a full disk nothing can be noted until there is room.
            (swept, aside, self.records().change_images(note).await)
        };
        let revisions = aside.len() as u64;
        let freed = keel_blocking::run(move || delete(&aside)).await?;
        drop(sources);
        noted?;
        let waits = swept.values().any(|swept| swept.waits);
        let contents = swept.values().map(|swept| swept.contents).sum();
        let bytes = swept.values().map(|swept| swept.bytes).sum::<u64>() + freed;
        let images: BTreeSet<_> = swept.into_values().flat_map(|swept| swept.images).collect();
        let images = images.into_iter().collect();
        let at = self.now();
        let row = ClearedRow { at, images, revisions, contents, bytes, trouble: None };
        Ok((row, waits || busy))
    }

    /// Bytes of images that nothing needs, on each node, and what checkouts and clones take up.
    pub(crate) async fn spare(&self) -> Result<(BTreeMap<NodeName, u64>, UsageRow), RoomError> {
        let Decisions { mut sweeps, folders: keep, .. } = self.decide_room(Reach::All).await?;
        sweeps.values_mut().for_each(|sweep| sweep.dry = true);
        let swept = self.fleet().sweep(None, &sweeps).await?;
        let sources = self.settings().sources_dir.clone();
        let row = keel_blocking::run(move || -> io::Result<UsageRow> {
            let in_use = |checkout: &Path| keep.iter().any(|path| path.starts_with(checkout));
            let mut row = UsageRow { kind: "Revisions".to_owned(), ..UsageRow::default() };
            for folder in checkout::sources(&sources)? {
                row.size += size(&folder)?;
                let all = checkout::all(&folder)?;
                row.total += all.len() as u64;
                row.active += all.iter().filter(|path| in_use(path)).count() as u64;
                for path in checkout::old(all, KEPT, &in_use) {
                    row.reclaimable += size(&path)?;
                }
            }
            Ok(row)
        });
        let bytes = swept.into_iter().map(|(node, swept)| (node, swept.bytes)).collect();
        Ok((bytes, row.await?))
    }

    async fn decide_room(&self, reach: Reach) -> Result<Decisions, RoomError> {
        let kept = self.revisions().await?;
        let nodes = self.fleet().observe(Depth::State).await?;
        let images = self.records().images().await?;
        let revisions: Vec<_> = kept.iter().flat_map(KeptRevisions::all).collect();
        Ok(decide_for(&nodes, &revisions, &images, reach, self.now()))
    }

    /// Every revision that runs, may run or may be come back to, by stack.
    pub(crate) async fn revisions(&self) -> Result<Vec<KeptRevisions>, RecordError> {
        let mut all = Vec::new();
        for stack in self.records().stacks().await? {
            all.push(KeptRevisions {
                desired: self.records().desired(&stack).await?,
                standing: self.records().standing(&stack).await?,
                good: self.records().good(&stack).await?,
            });
        }
        Ok(all)
    }

    /// The folders of all sources, each with its turn; and whether one is being refreshed.
    async fn quiet_sources(&self) -> io::Result<(Vec<Quiet>, bool)> {
        let (mut quiet, mut busy) = (Vec::new(), false);
        let sources = self.settings().sources_dir.clone();
        for folder in keel_blocking::run(move || checkout::sources(&sources)).await? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match timeout(PATIENCE, self.source_turn(&name)).await {
                Ok(turn) => quiet.push(Quiet { folder, _turn: turn }),
                Err(_) => busy = true,
            }
        }
        Ok((quiet, busy))
    }

    /// Those that are not configured any more, have not been read for a day, and own no stack.
    async fn sources_gone(&self, folders: &[PathBuf]) -> Result<Vec<PathBuf>, RecordError> {
        let mut owners = BTreeSet::new();
        for stack in self.records().stacks().await? {
            if let Some(Owner::Source { name, .. }) = self.records().owner(&stack).await? {
                owners.insert(name);
            }
        }
        let configured = self.configured();
        let mut gone = Vec::new();
        for folder in folders.iter().filter(|_| self.serves()) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let read = self.records().source(&name).await?.fetched;
            let long = self.now().saturating_sub(read) >= DAY;
            if long && !configured.contains_key(&*name) && !owners.contains(&*name) {
                gone.push(folder.clone());
            }
        }
        Ok(gone)
    }
}

/// Moves away what may go of these sources' folders. The clone of one that is gone goes, too; what
/// was decided about the files that tasks write stays, as they do.
fn set_aside(
    folders: &[PathBuf],
    gone: &[PathBuf],
    keep: &BTreeSet<PathBuf>,
) -> io::Result<Vec<PathBuf>> {
    let in_use = |checkout: &Path| keep.iter().any(|path| path.starts_with(checkout));
    let mut aside = Vec::new();
    for folder in folders {
        let kept = if gone.contains(folder) { 0 } else { KEPT };
        aside.extend(checkout::set_aside(folder, kept, &in_use)?);
    }
    for folder in gone {
        let clone = folder.join("repo");
        if clone.exists() {
            aside.push(clone);
        }
    }
    Ok(aside)
}

/// Deletes them, and says how much room they took.
fn delete(aside: &[PathBuf]) -> io::Result<u64> {
    let mut bytes = 0;
    for path in aside {
        bytes += size(path)?;
        fs::remove_dir_all(path)?;
    }
    Ok(bytes)
}

/// Bytes of all files in a folder.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { size(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}
