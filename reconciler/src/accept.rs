//! What a refresh does to the records: stores what is named, retires what is not.

use crate::clock::milliseconds;
use crate::desk::Desk;
use crate::history::Arrival;
use crate::load::{LoadedStack, StackFiles};
use crate::load_cache::has_its_files;
use crate::owners::{Claim, claim};
use crate::record::RecordError;
use crate::refresh_error::RefreshError;
use crate::source::Source;
use crate::store::Keep;
use keel_engine::{Assignment, Content, EngineError, MountSource, StackName};
use keel_plan::desired::Desired;
use keel_plan::standing::{Removal, Standing};
use std::collections::BTreeSet;

/// Stacks on record for this source that are not on their way out.
pub(crate) async fn owned(
    source: &Source,
    desk: &Desk,
) -> Result<BTreeSet<StackName>, RecordError> {
    let mut owned = BTreeSet::new();
    for stack in desk.records().stacks().await? {
        let mine = desk.records().owner(&stack).await?.as_ref() == Some(source.owner());
        if mine && !desk.records().is_removed(&stack).await? {
            owned.insert(stack);
        }
    }
    Ok(owned)
}

/// What a refresh brings.
pub(crate) struct IncomingSource<'a> {
    pub source: &'a Source,
    pub files: &'a StackFiles,
    /// How it came, but for what is each stack's own.
    pub arrival: Arrival,
    pub take_over: bool,
}

/// Stores what is not stored yet. Gives what to tell people.
pub(crate) async fn accept(
    stacks: &[LoadedStack],
    coming: &IncomingSource<'_>,
    desk: &Desk,
) -> Result<Vec<String>, RefreshError> {
    let mut all_told = Vec::new();
    for stack in stacks.iter().filter(|stack| stack.lowered.is_some()) {
        if !coming.take_over && is_stored(stack, coming.source, desk).await? {
            continue;
        }
        let told = store(stack, coming, desk).await?;
        let stored = match (&stack.name, told.is_empty()) {
            (Some(name), true) => Some(desk.records().desired_at(name).await?),
            // What is told is looked at each time, so that its end is seen.
            _ => None,
        };
        coming.source.recall(|recall| recall.note_stored(&stack.shown, stored));
        all_told.extend(told);
    }
    Ok(all_told)
}

/// Whether all that an earlier refresh did with this stack, as it is, is still done.
pub(crate) async fn is_stored(
    stack: &LoadedStack,
    source: &Source,
    desk: &Desk,
) -> Result<bool, RecordError> {
    let (Some(name), Some(at)) = (&stack.name, source.recall(|r| r.stored(&stack.shown))) else {
        return Ok(false);
    };
    Ok(desk.records().desired_at(name).await? == at)
}

/// Files and contents first, then what names them, then the hint. Gives what to tell people: why
/// it is not this source's, or which files were left alone.
async fn store(
    stack: &LoadedStack,
    coming: &IncomingSource<'_>,
    desk: &Desk,
) -> Result<Vec<String>, RefreshError> {
    let Some((desired, contents)) = &stack.lowered else { return Ok(vec![]) };
    let (records, source) = (desk.records(), coming.source);
    // One that has just left may be about to be forgotten: then this comes after it.
    let _writing = desk.writing(&desired.stack).await.map_err(RefreshError::Contents)?;
    let before = records.desired(&desired.stack).await?;
    let owner = before.as_ref().map(|before| &before.owner);
    match claim(owner, source.owner(), &stack.dir, coming.take_over) {
        Claim::Refused(why) => {
            return Ok(vec![format!("error: stack `{}` {why}\n", desired.stack)]);
        }
        Claim::Taken(from) => desk.note_taken(&desired.stack, &from).await?,
        Claim::Granted => {}
    }
    let kept = source.seed(coming.files, &stack.data).await?;
    let welcome = |standing: &mut Standing| {
        let back = standing.removed.is_some() && standing.suspended.is_none();
        if back {
            standing.removed = None;
        }
        back
    };
    let back = records.change_standing(&desired.stack, Keep::OnDisk, welcome).await?;
    let standing = before.as_ref().map_or(Match::Different, |before| compared(before, desired));
    hand_over(contents, stack, coming, desk).await?;
    if standing != Match::Identical {
        if standing == Match::Different {
            let (revision, load) = (desired.revision.clone(), Some(milliseconds(stack.took)));
            let arrival = Arrival { revision, load, ..coming.arrival.clone() };
            records.put_arrival(&desired.stack, &arrival).await?;
        }
        records.put_desired(desired).await?;
    }
    if back || standing == Match::Different {
        desk.stacks().hint(desired.stack.clone());
    }
    Ok(kept)
}

/// The controller's own node has contents and files of the revision before any task that names them. Those that are
/// there already cost nothing; those that were lost there, or that a controller which takes over from another never
/// had, come again, since each start does this once for each stack.
async fn hand_over(
    contents: &[Content],
    stack: &LoadedStack,
    coming: &IncomingSource<'_>,
    desk: &Desk,
) -> Result<(), RefreshError> {
    let (files, paths) = (coming.files.clone(), stack.trees.clone());
    let trees = keel_blocking::run(move || files.trees(&paths)).await;
    let failed = |error| EngineError::failed("cannot read files of the revision", error);
    let wishes = trees.map_err(failed).map_err(RefreshError::Contents)?.into_iter();
    let contents = contents.iter().cloned().map(Assignment::Content);
    let wishes: Vec<_> = wishes.map(Assignment::Tree).chain(contents).collect();
    desk.fleet().keep(&wishes).await.map_err(RefreshError::Contents)
}

/// How what was desired stands to what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// It says all that comes: that a later commit says the same is no news, and written nowhere.
    Identical,
    /// It means the same, and lines have moved: that is what people are shown.
    SameMeaning,
    /// It means something else, or what it names is gone.
    Different,
}

pub(crate) fn compared(before: &Desired, coming: &Desired) -> Match {
    let there = aligned(coming.clone(), before);
    if there == *before && has_its_files(before) {
        return Match::Identical;
    }
    let mut there = there;
    for (service, old) in there.services.values_mut().zip(before.services.values()) {
        service.origins.clone_from(&old.origins);
        for (held, old) in service.held.iter_mut().zip(&old.held) {
            held.at.clone_from(&old.at);
        }
    }
    for (network, old) in there.networks.values_mut().zip(before.networks.values()) {
        network.origin.clone_from(&old.origin);
    }
    for (volume, old) in there.volumes.values_mut().zip(before.volumes.values()) {
        volume.origin.clone_from(&old.origin);
    }
    if there == *before { Match::SameMeaning } else { Match::Different }
}

/// With the earlier one's name of the revision, and where the same content was for an earlier version.
fn aligned(mut coming: Desired, before: &Desired) -> Desired {
    coming.revision.clone_from(&before.revision);
    for (service, old) in coming.services.values_mut().zip(before.services.values()) {
        for (mount, old) in service.spec.volumes.iter_mut().zip(&old.spec.volumes) {
            if let (
                MountSource::Revision { digest, .. },
                MountSource::Revision { digest: same, .. },
            ) = (&mount.source, &old.source)
                && digest == same
                && old.source.checkout_path().is_some()
            {
                mount.source.clone_from(&old.source);
            }
        }
    }
    coming
}

/// A stack left the source. One that a person holds off stays until they let go.
pub(crate) async fn retire(stack: &StackName, desk: &Desk) -> Result<(), RefreshError> {
    let records = desk.records();
    let policy =
        records.desired(stack).await?.map(|desired| desired.policy.clone()).unwrap_or_default();
    let go = |standing: &mut Standing| {
        let goes = policy.prune && standing.suspended.is_none();
        if goes {
            standing.removed = Some(Removal { volumes: policy.prune_volumes });
        }
        goes
    };
    if records.change_standing(stack, Keep::ForNow, go).await? {
        desk.stacks().hint(stack.clone());
    }
    Ok(())
}
