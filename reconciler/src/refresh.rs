//! One look at one source: fetch, load every stack, the guards that need the whole source, lower,
//! store what is now desired, and a hint for each stack. Nothing here waits for a node's work.

use crate::accept::{IncomingSource, accept, is_stored, owned, retire};
use crate::ask::WarningRow;
use crate::cause::Cause;
use crate::clock::milliseconds;
use crate::desk::Desk;
use crate::guard::too_much_gone;
use crate::history::{Arrival, HistoryEntry, Note};
use crate::load::{LoadedStack, refuse_twins, warn_of_conflicts};
use crate::operation::{OperationReason, OperationState};
use crate::record::{
    Commit, HeldRevision, RecordError, RefusedRevision, SourceProblem, SourceRecord, SourceTrouble,
};
use crate::refresh_error::RefreshError;
use crate::refusal::with_causes;
use crate::source::{Loaded, Snapshot, Source, SourceError};
use crate::trace;
use crate::trigger::Trigger;
use keel_engine::{StackName, digest_of};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{Instrument, debug};

/// Why a source is read, and what with it is allowed.
pub(crate) struct Why {
    /// What or who wants it.
    pub cause: Cause,
    /// Stacks may be taken from their present owners.
    pub take_over: bool,
}

/// Refreshes, records what went wrong, and says when to look again.
pub(crate) async fn refresh(name: &str, source: &Arc<Source>, why: &Why, desk: &Desk) -> Duration {
    let _turn = desk.source_turn(name).await; // never two at once for one source
    let span = trace::refresh(name);
    let trouble = match refreshed(name, source, why, desk).instrument(span.clone()).await {
        Ok(()) => None,
        // The next start looks again.
        Err(RefreshError::Ended) => return Duration::ZERO,
        Err(RefreshError::Source(error)) if source.awaits_first_push(&error) => None,
        Err(error) => Some(trouble_of(name, &error)),
    };
    let failed = trouble.is_some();
    span.in_scope(|| debug!(cause = %why.cause, failed, "over"));
    if failed || source.is_failing() {
        note_trouble(name, source, trouble, desk).await;
    }
    source.next_look(failed)
}

async fn note_trouble(name: &str, source: &Source, trouble: Option<SourceTrouble>, desk: &Desk) {
    let now = desk.now();
    let note = |record: &mut SourceRecord| {
        record.trouble.clone_from(&trouble);
        record.failing = match record.failing {
            _ if trouble.is_none() => 0,
            0 => now,
            since => since,
        };
    };
    let written = desk.records().change_source(name, note).await;
    // On a full disk not even that can be written; whoever asks is told all the same.
    source.remember_unwritten(trouble.filter(|_| written.is_err()));
}

async fn refreshed(
    name: &str,
    source: &Arc<Source>,
    why: &Why,
    desk: &Desk,
) -> Result<(), RefreshError> {
    let began = Instant::now();
    let snapshot = tokio::select! {
        snapshot = source.fetch(desk.now(), why.cause == Cause::Edit) => snapshot?, // edge: network, disk
        // A server that hangs must not hold up the end.
        () = desk.hints().closed() => return Err(RefreshError::Ended),
    };
    let fetched = began.elapsed();
    let at_once = why.cause != Cause::Poll;
    debug!(stacks = snapshot.found.len(), milliseconds = milliseconds(fetched), "fetched");
    let Loaded { snapshot, stacks, news } = source.load(&snapshot, at_once).await?; // edge: disk, network
    if !news && !why.take_over && nothing_to_do(source, &stacks, desk).await? {
        return Ok(());
    }
    source.recall(|recall| recall.settled = false);
    let before = desk.records().source(name).await?;
    let fresh = Fetched { snapshot, stacks, fetched, before };
    let whole = judged(source, fresh, why, desk).await?;
    let mut problems = printed(&whole.stacks, &whole.folders);
    if whole.held.is_none() {
        let told = stored(source, &whole, why.take_over, desk).await?;
        problems.extend(told.into_iter().map(|text| SourceProblem { stack: None, text }));
    }
    recorded(name, source, &whole, problems, desk).await?;
    if whole.before.revision != whole.revision {
        desk.want_room();
    }
    Ok(())
}

/// What came, and what the source had said before.
struct Fetched {
    snapshot: Arc<Snapshot>,
    stacks: Vec<LoadedStack>,
    fetched: Duration,
    before: Arc<SourceRecord>,
}

/// What a source says, judged as a whole.
struct JudgedSource {
    snapshot: Arc<Snapshot>,
    stacks: Vec<LoadedStack>,
    before: Arc<SourceRecord>,
    revision: String,
    commit: Option<Commit>,
    arrival: Arrival,
    /// Which stack each folder stands for.
    folders: BTreeMap<String, StackName>,
    /// Stacks that are on record for it.
    owned: BTreeSet<StackName>,
    held: Option<HeldRevision>,
}

/// Every stack beside the others, and what would go against what is there.
async fn judged(
    source: &Source,
    fresh: Fetched,
    why: &Why,
    desk: &Desk,
) -> Result<JudgedSource, RefreshError> {
    let Fetched { snapshot, mut stacks, fetched, before } = fresh;
    refuse_twins(&mut stacks);
    warn_of_conflicts(&mut stacks);
    let revision = revision_of(&snapshot, &stacks);
    stacks.extend(hidden(&stacks, &before));
    let folders = names_of(&stacks, &before);
    let owned = owned(source, desk).await?;
    if stacks.is_empty() && owned.is_empty() {
        // Nothing is taken away by this, so it is a mistake and no emptied source.
        let (path, elsewhere) = (source.sought(), snapshot.elsewhere.clone());
        return Err(SourceError::NoStack { path, elsewhere }.into());
    }
    let named = folders.values().cloned().collect();
    let held = too_much_gone(&owned, &named)
        .filter(|_| before.confirmed.as_ref() != Some(&revision))
        .map(|why| HeldRevision { revision: revision.clone(), why });
    let commit = match before.commit.clone().filter(|commit| commit.revision == revision) {
        None => source.commit(snapshot.revision.as_deref()).await,
        known => known,
    };
    let arrival = arrival(commit.as_ref(), &why.cause, fetched);
    Ok(JudgedSource { snapshot, stacks, before, revision, commit, arrival, folders, owned, held })
}

/// Stores what is named and retires what is not. Gives what to tell people.
async fn stored(
    source: &Source,
    whole: &JudgedSource,
    take_over: bool,
    desk: &Desk,
) -> Result<Vec<String>, RefreshError> {
    let (files, arrival) = (&whole.snapshot.files, whole.arrival.clone());
    let coming = IncomingSource { source, files, arrival, take_over };
    let told = accept(&whole.stacks, &coming, desk).await?;
    let named = whole.folders.values().cloned().collect();
    for gone in whole.owned.difference(&named) {
        retire(gone, desk).await?;
    }
    let settled = told.is_empty() && whole.owned.is_subset(&named);
    source.recall(|recall| recall.settled = settled);
    Ok(told)
}

/// What the source said, for people and for the next refresh.
async fn recorded(
    name: &str,
    source: &Source,
    whole: &JudgedSource,
    problems: Vec<SourceProblem>,
    desk: &Desk,
) -> Result<(), RecordError> {
    let (now, warnings) = (desk.now(), warnings(&whole.stacks));
    let refused = refused(whole, now);
    let note = |record: &mut SourceRecord| {
        record.refused.clone_from(&refused);
        record.location = source.location();
        (record.fetched, record.held) = (now, whole.held.clone());
        record.problems.clone_from(&problems);
        (record.trouble, record.failing) = (None, 0);
        if whole.held.is_none() {
            let confirmed = record.confirmed.take();
            record.confirmed = confirmed.filter(|confirmed| *confirmed == whole.revision);
            record.revision.clone_from(&whole.revision);
            record.folders.clone_from(&whole.folders);
            (record.warnings, record.commit) = (warnings.clone(), whole.commit.clone());
        }
    };
    desk.records().change_source(name, note).await?;
    tell_refusals(name, whole, &refused, desk).await
}

/// Whether a refresh that found nothing new can end here: the last one did all that there was to do,
/// and what it stored is stored still.
async fn nothing_to_do(
    source: &Source,
    stacks: &[LoadedStack],
    desk: &Desk,
) -> Result<bool, RecordError> {
    if !source.recall(|recall| recall.settled) || source.is_failing() {
        return Ok(false);
    }
    for stack in stacks.iter().filter(|stack| stack.lowered.is_some()) {
        if !is_stored(stack, source, desk).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How a revision came, but for what is each stack's own.
fn arrival(commit: Option<&Commit>, cause: &Cause, fetched: Duration) -> Arrival {
    let commit = commit.cloned().unwrap_or_default();
    Arrival {
        author: commit.author,
        subject: commit.subject,
        cause: cause.to_string(),
        fetch: Some(milliseconds(fetched)),
        ..Arrival::default()
    }
}

/// The commit; for a folder, a digest of all that was read.
fn revision_of(snapshot: &Snapshot, stacks: &[LoadedStack]) -> String {
    snapshot.revision.clone().unwrap_or_else(|| {
        let hash = |stack: &LoadedStack| stack.lowered.as_ref().map(|(desired, _)| desired.hash);
        let all: Vec<_> = stacks.iter().map(|stack| (&stack.shown, hash(stack))).collect();
        digest_of(&all).short().to_owned()
    })
}

/// Which stack each folder stands for. A file that cannot be read any more stands for the stack
/// that it was, so that a typo never removes one.
pub(crate) fn names_of(stacks: &[LoadedStack], last: &SourceRecord) -> BTreeMap<String, StackName> {
    let name = |stack: &LoadedStack| {
        let known = stack.name.clone().or_else(|| last.folders.get(&stack.shown).cloned());
        Some((stack.shown.clone(), known?))
    };
    stacks.iter().filter_map(name).collect()
}

/// Stacks that were in a submodule, in some folder of it, which is not here now: they are not gone.
fn hidden(stacks: &[LoadedStack], last: &SourceRecord) -> Vec<LoadedStack> {
    let away = stacks.iter().filter(|stack| stack.is_away());
    let within = |stack: &LoadedStack| {
        let folders = last.folders.keys().map(PathBuf::from);
        let below = folders.filter(|folder| {
            folder.starts_with(&stack.shown) && folder.as_path() != Path::new(&stack.shown)
        });
        below.map(|folder| stack.hiding(&folder)).collect::<Vec<_>>()
    };
    away.flat_map(within).collect()
}

/// Which stacks cannot be used as this revision has them; the same refusal keeps its time.
fn refused(whole: &JudgedSource, now: u64) -> BTreeMap<StackName, RefusedRevision> {
    let commit = whole.snapshot.revision.as_deref().unwrap_or_default();
    let entry = |stack: &LoadedStack| {
        let (name, why) = (whole.folders.get(&stack.shown)?.clone(), stack.refusal()?);
        let same = whole.before.refused.get(&name).filter(|before| before.why == why);
        let since = same.map_or(now, |before| before.since);
        Some((name, RefusedRevision { revision: commit.to_owned(), why, since }))
    };
    whole.stacks.iter().filter_map(entry).collect()
}

/// What is refused is part of a stack's past, once for each reason.
async fn tell_refusals(
    source: &str,
    whole: &JudgedSource,
    refused: &BTreeMap<StackName, RefusedRevision>,
    desk: &Desk,
) -> Result<(), RecordError> {
    let told = |stack: &StackName, refusal: &RefusedRevision| {
        whole.before.refused.get(stack).is_some_and(|before| before.why == refusal.why)
    };
    for (stack, refusal) in refused.iter().filter(|(stack, refusal)| !told(stack, refusal)) {
        if desk.records().owner(stack).await?.is_none() {
            continue; // It has no past: it has never been accepted.
        }
        let Arrival { author, subject, cause, .. } = whole.arrival.clone();
        let entry = HistoryEntry {
            trigger: trigger(&refusal.revision, source),
            cause,
            revision: refusal.revision.clone(),
            author,
            subject,
            state: OperationState::Failed,
            reason: OperationReason::Refused { why: refusal.why.clone() },
            at: refusal.since,
            ..HistoryEntry::default()
        };
        desk.records().tell(stack, &Note { entry, ..Note::default() }).await?;
    }
    Ok(())
}

/// A folder's files have no revision before they can be used.
fn trigger(revision: &str, source: &str) -> Trigger {
    let source = source.to_owned();
    match revision.is_empty() {
        true => Trigger::Source { source },
        false => Trigger::Revision { revision: revision.to_owned(), source: Some(source) },
    }
}

fn printed(stacks: &[LoadedStack], folders: &BTreeMap<String, StackName>) -> Vec<SourceProblem> {
    let refused = stacks.iter().filter(|stack| !stack.errors.is_empty());
    let problem = |stack: &LoadedStack| SourceProblem {
        stack: folders.get(&stack.shown).cloned(),
        text: stack.errors.concat(),
    };
    refused.map(problem).collect()
}

/// Of the stacks that are right; those that are refused have worse to tell.
fn warnings(stacks: &[LoadedStack]) -> BTreeMap<StackName, Vec<WarningRow>> {
    let right = stacks.iter().filter(|stack| stack.lowered.is_some());
    let named = right.filter_map(|stack| Some((stack.name.clone()?, stack.warning_rows())));
    named.filter(|(_, warnings)| !warnings.is_empty()).collect()
}

/// Characters of an error that are kept: it may quote what a server said.
const LONGEST: usize = 4 << 10;

fn trouble_of(name: &str, error: &RefreshError) -> SourceTrouble {
    let hint = match error {
        RefreshError::Source(error) => error.hint(),
        RefreshError::Contents(error) => error.hint().map(str::to_owned),
        RefreshError::Records(_) | RefreshError::Ended => None,
    };
    let hint = hint.map(|hint| keel_plain::line(&hint).into_owned());
    let what = keel_plain::line_within(&with_causes(error), LONGEST).into_owned();
    SourceTrouble { source: name.to_owned(), what, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_a_refusal_is_told_with_and_without_a_commit() {
        let commit = "3f9c2a1b5d7e9f0011223344556677889900aabb";
        let began = |revision, source, cause: &str| {
            HistoryEntry {
                trigger: trigger(revision, source),
                cause: cause.into(),
                ..HistoryEntry::default()
            }
            .began_by()
        };
        assert_eq!(began(commit, "home", "poll"), "revision 3f9c2a1b5d7e of source home, poll");
        assert_eq!(began("", "default", "edited files"), "source default, edited files");
    }
}
