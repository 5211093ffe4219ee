//! One look at one source: fetch, load every stack, the guards that need the whole source, lower,
//! store what is now desired, and a hint for each stack. Nothing here waits for a node's work.

use crate::controller::Controller;
use crate::guard::too_much_gone;
use crate::load::{LoadedStack, refuse_twins};
use crate::owners::{Claim, claim};
use crate::record::{HeldRevision, RecordError, SourceRecord};
use crate::refusal::with_causes;
use crate::source::{Snapshot, Source, SourceError};
use keel_engine::{Assignment, Depth, EngineError, MountSource, StackName, TaskSpec, digest_of};
use keel_plan::standing::Removal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Why a source's stacks could not be read, or not be stored. What is desired stays as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error("the content of configs and secrets cannot be handed over")]
    Contents(#[source] EngineError),
}

/// Refreshes, records what went wrong, and says when to look again.
pub(crate) async fn refresh(
    name: &str,
    source: &Source,
    take_over: bool,
    controller: &Controller,
) -> Duration {
    let _turn = controller.source_turn(name).await; // never two at once for one source
    let trouble = match refreshed(name, source, take_over, controller).await {
        Ok(()) => None,
        Err(error) => Some(words(&error)),
    };
    let failed = trouble.is_some();
    let note = |record: &mut SourceRecord| record.trouble.clone_from(&trouble);
    // A record that cannot be written now is written with the next refresh.
    let _ = controller.records().change_source(name, note).await;
    source.next_look(failed)
}

async fn refreshed(
    name: &str,
    source: &Source,
    take_over: bool,
    controller: &Controller,
) -> Result<(), RefreshError> {
    let snapshot = source.fetch().await?; // edge: network, disk
    let mut stacks = source.load(&snapshot).await; // edge: disk
    refuse_twins(&mut stacks);
    let revision = revision_of(&snapshot, &stacks);
    let record = controller.records().source(name).await?;
    let folders = names_of(&stacks, &record);
    let owned = owned(source, controller).await?;
    if stacks.is_empty() && owned.is_empty() {
        // Nothing is taken away by this, so it is a mistake and no emptied source.
        return Err(SourceError::NoStack { path: source.location() }.into());
    }
    let named = folders.values().cloned().collect();
    let held = too_much_gone(&owned, &named)
        .filter(|_| record.confirmed.as_ref() != Some(&revision))
        .map(|why| HeldRevision { revision: revision.clone(), why });
    let mut problems = printed(&stacks);
    if held.is_none() {
        for stack in &stacks {
            problems.extend(store(stack, source, take_over, controller).await?);
        }
        for gone in owned.difference(&named) {
            retire(gone, controller).await?;
        }
    }
    let now = controller.now();
    let note = |record: &mut SourceRecord| {
        record.location = source.location();
        (record.fetched, record.held) = (now, held.clone());
        record.problems.clone_from(&problems);
        if held.is_none() {
            record.confirmed = record.confirmed.take().filter(|confirmed| *confirmed == revision);
            (record.revision, record.folders) = (revision.clone(), folders.clone());
        }
    };
    controller.records().change_source(name, note).await?;
    if record.revision != revision {
        tidy(source, controller).await?;
    }
    Ok(())
}

/// Old checkouts go, but for those that a task mounts or that may come back.
async fn tidy(source: &Source, controller: &Controller) -> Result<(), RefreshError> {
    let Ok(seen) = controller.fleet().observe(Depth::State).await else { return Ok(()) };
    let mut used: BTreeSet<PathBuf> =
        seen.tasks.iter().flat_map(|task| revision_paths(&task.spec)).collect();
    for stack in controller.records().stacks().await? {
        let good = controller.records().standing(&stack).await?.good_desired;
        let desired = controller.records().desired(&stack).await?;
        let all = desired.iter().chain(good.as_deref());
        let specs = all.flat_map(|desired| desired.services.values());
        used.extend(specs.flat_map(|service| revision_paths(&service.spec)));
    }
    source.tidy(used).await;
    Ok(())
}

fn revision_paths(spec: &TaskSpec) -> impl Iterator<Item = PathBuf> {
    spec.volumes.iter().filter_map(|mount| match &mount.source {
        MountSource::Revision { path, .. } => Some(PathBuf::from(path)),
        _ => None,
    })
}

/// The commit; for a folder, a digest of all that was read.
fn revision_of(snapshot: &Snapshot, stacks: &[LoadedStack]) -> String {
    snapshot.revision.clone().unwrap_or_else(|| {
        let hash =
            |stack: &LoadedStack| stack.lowered.as_ref().map(|(desired, _)| desired.hash.clone());
        let all: Vec<_> = stacks.iter().map(|stack| (&stack.shown, hash(stack))).collect();
        digest_of(&all).hex()[..12].to_owned()
    })
}

/// Which stack each folder stands for. A file that cannot be read any more stands for the stack
/// that it was, so that a typo never removes one.
fn names_of(stacks: &[LoadedStack], last: &SourceRecord) -> BTreeMap<String, StackName> {
    let name = |stack: &LoadedStack| {
        let known = stack.name.clone().or_else(|| last.folders.get(&stack.shown).cloned());
        Some((stack.shown.clone(), known?))
    };
    stacks.iter().filter_map(name).collect()
}

/// Stacks on record for this source that are not on their way out.
async fn owned(
    source: &Source,
    controller: &Controller,
) -> Result<BTreeSet<StackName>, RecordError> {
    let mut owned = BTreeSet::new();
    for stack in controller.records().stacks().await? {
        let mine = controller.records().owner(&stack).await?.as_ref() == Some(source.owner());
        if mine && controller.records().standing(&stack).await?.removed.is_none() {
            owned.insert(stack);
        }
    }
    Ok(owned)
}

/// Contents first, then what names them, then the hint. Gives why it is not this source's, if so.
async fn store(
    stack: &LoadedStack,
    source: &Source,
    take_over: bool,
    controller: &Controller,
) -> Result<Option<String>, RefreshError> {
    let Some((desired, contents)) = &stack.lowered else { return Ok(None) };
    let records = controller.records();
    let before = records.desired(&desired.stack).await?;
    let owner = before.as_ref().map(|before| &before.owner);
    if let Claim::Refused(why) = claim(owner, source.owner(), &stack.dir, take_over) {
        return Ok(Some(format!("error: stack `{}` {why}\n", desired.stack)));
    }
    let welcome = |standing: &mut keel_plan::standing::Standing| {
        let back = standing.removed.is_some() && standing.suspended.is_none();
        if back {
            standing.removed = None;
        }
        back
    };
    let back = records.change_standing(&desired.stack, welcome).await?;
    if before.as_ref() != Some(desired) {
        let contents: Vec<_> = contents.iter().cloned().map(Assignment::Content).collect();
        controller.fleet().assign(&contents).await.map_err(RefreshError::Contents)?;
    }
    if records.put_desired(desired).await? || back {
        controller.stacks().hint(desired.stack.clone());
    }
    Ok(None)
}

/// A stack left the source. One that a person holds off stays until they let go.
async fn retire(stack: &StackName, controller: &Controller) -> Result<(), RefreshError> {
    let records = controller.records();
    let prune = records.desired(stack).await?.is_none_or(|desired| desired.policy.prune);
    let go = |standing: &mut keel_plan::standing::Standing| {
        let goes = prune && standing.suspended.is_none();
        if goes {
            standing.removed = Some(Removal { volumes: false });
        }
        goes
    };
    if records.change_standing(stack, go).await? {
        controller.stacks().hint(stack.clone());
    }
    Ok(())
}

fn printed(stacks: &[LoadedStack]) -> Vec<String> {
    stacks
        .iter()
        .filter(|stack| !stack.errors.is_empty())
        .map(|stack| stack.errors.concat())
        .collect()
}

fn words(error: &RefreshError) -> String {
    let hint = match error {
        RefreshError::Source(error) => error.hint(),
        RefreshError::Contents(error) => error.hint().map(str::to_owned),
        RefreshError::Records(_) => None,
    };
    let hint = hint.map(|hint| format!("\nhint: {hint}\n")).unwrap_or_default();
    format!("error: {}\n{hint}", with_causes(error))
}
