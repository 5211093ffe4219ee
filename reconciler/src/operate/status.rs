//! `status` and the sources' state.

use super::converge::unknown_stack;
use super::trouble::{Bad, is_troubled, trouble};
use crate::ask::{OperationRow, Refusal, SourceRow, StatusRow, WarningRow};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::examined::{Circumstances, ExaminedStack, ExaminedStacks, KnownSource};
use crate::operation::{Operation, OperationReason, OperationState};
use crate::record::{RefusedRevision, SourceRecord, StackRecords};
use crate::source::Source;
use keel_engine::{Depth, StackName};
use keel_plan::desired::{Desired, Owner};
use keel_plan::pace::FailureAction;
use keel_plan::status::{Note, Status, Sync, status};
use keel_plan::text::{of_note, of_notes};
use keel_plan::{Asked, Inputs};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::MutexGuard;

/// What is examined again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What this process changed or was told of.
    Told,
    /// Also what others may have changed, and what time changes.
    Complete,
}

impl Controller {
    /// Sync, health and operation of these stacks, or of all, by name.
    pub async fn status(&self, stacks: &[StackName]) -> Result<Vec<StatusRow>, Refusal> {
        if stacks.is_empty() {
            let examined = self.examine_all(Scope::Complete).await?;
            return Ok(examined.all().map(|one| one.row.clone()).collect());
        }
        let now = self.circumstances(None).await?;
        let mut refused = refused(&now.sources);
        let mut rows = Vec::new();
        for stack in stacks {
            let refusal = refused.remove(stack);
            if refusal.is_none() && !self.records().knows(stack).await? {
                return Err(unknown_stack(stack));
            }
            let records = self.records().of_stack(stack).await?;
            rows.push(self.examine(stack, records, &now, refusal).await?.row);
        }
        rows.sort_by(|a, b| a.stack.cmp(&b.stack));
        Ok(rows)
    }

    /// Examines every stack that is not known to be as it was.
    pub(crate) async fn examine_all(
        &self,
        scope: Scope,
    ) -> Result<MutexGuard<'_, ExaminedStacks>, Refusal> {
        let mut all = self.examined().await;
        let now = self.circumstances(all.last()).await?;
        let refused = refused(&now.sources);
        let concerned = all.concerned(&now);
        let scope = if concerned.is_some() { scope } else { Scope::Complete };
        let all_anew = concerned.is_none();
        let mut due = concerned.unwrap_or_default();
        due.extend(self.records().touched_since(all.last().map_or(0, |last| last.count)).1);
        due.extend(self.all_unwritten());
        let mut stacks = due.clone();
        if scope == Scope::Complete || !all.has_sources_of(&now) {
            stacks.extend(all.names().chain(refused.keys()).cloned());
        }
        if scope == Scope::Complete {
            stacks.extend(self.records().stacks().await?);
        }
        all.begin();
        for stack in &stacks {
            let refusal = refused.get(stack);
            let kept = all.get(stack).filter(|_| !all_anew && !due.contains(stack)).cloned();
            if let Some(kept) = kept
                && let Some(still) = self.still(kept, scope, &now, refusal).await?
            {
                all.keep(stack, still);
                continue;
            }
            let there = refusal.is_some() || self.records().knows(stack).await?;
            if !there {
                all.remove(stack);
                continue;
            }
            let records = self.records().of_stack(stack).await?;
            let examined = self.examine(stack, records, &now, refusal.cloned()).await?;
            all.keep(stack, Arc::new(examined));
        }
        all.end(now);
        Ok(all)
    }

    /// A stack of which nothing changed but what its source says of all its stacks; `None` where it has to be
    /// examined again.
    async fn still(
        &self,
        kept: Arc<ExaminedStack>,
        scope: Scope,
        now: &Circumstances,
        refusal: Option<&(String, RefusedRevision)>,
    ) -> Result<Option<Arc<ExaminedStack>>, Refusal> {
        let Ok(stack) = StackName::new(kept.row.stack.as_str()) else { return Ok(None) };
        let may_stay = kept.refusal.as_ref() == refusal
            && (scope == Scope::Told
                || kept.is_at_rest() && kept.records.are(&self.records().of_stack(&stack).await?));
        if !may_stay {
            return Ok(None);
        }
        let desired = kept.records.desired.as_deref();
        let warnings = self.warnings_of(&stack, desired, &now.sources).await?;
        let revision = match refusal {
            // It is not shown to be at the newest one.
            Some(_) => kept.row.revision.clone(),
            None => newest(&kept.status, &stack, desired, &now.sources),
        };
        if (&revision, &warnings) == (&kept.row.revision, &kept.row.warnings) {
            return Ok(Some(kept));
        }
        let row = StatusRow { revision, warnings, ..kept.row.clone() };
        let is_at_rest = kept.is_at_rest();
        Ok(is_at_rest.then(|| Arc::new(ExaminedStack { row, ..ExaminedStack::clone(&kept) })))
    }

    /// What all stacks are examined with now. What is known of sources is taken over from the last time.
    async fn circumstances(&self, last: Option<&Circumstances>) -> Result<Circumstances, Refusal> {
        // First: what is changed from here on is told to the next look.
        let (count, _) = self.records().touched_since(u64::MAX);
        let (configured, mut sources) = (self.configured(), BTreeMap::new());
        for name in configured.keys() {
            // One that cannot be read says nothing.
            let record = self.records().source(name).await.unwrap_or_default();
            let before = last.and_then(|last| last.sources.get(name));
            sources.insert(name.clone(), KnownSource::new(record, before));
        }
        Ok(Circumstances {
            nodes: self.fleet().observe(Depth::State).await?,
            pool: self.fleet().pool(),
            configured,
            sources,
            late: self.records().are_late().await,
            count,
        })
    }

    pub(crate) async fn these_or_all(
        &self,
        stacks: &[StackName],
    ) -> Result<Vec<StackName>, Refusal> {
        these_of(stacks, &self.records().stacks().await?)
    }

    async fn examine(
        &self,
        stack: &StackName,
        records: StackRecords,
        now: &Circumstances,
        refusal: Option<(String, RefusedRevision)>,
    ) -> Result<ExaminedStack, Refusal> {
        let StackRecords { desired, standing, operation, seen } = &records;
        let desired = desired.as_deref();
        let status = status(&Inputs {
            stack,
            desired,
            owner: desired.map(|desired| &desired.owner),
            standing,
            nodes: &now.nodes,
            pool: &now.pool,
            asked: Asked::default(),
            now: self.now(),
        });
        let unfixed = seen.values().filter(|seen| seen.fixed.is_none()).count();
        let drift = u32::try_from(unfixed).unwrap_or(u32::MAX);
        let suspended = standing.suspended.as_ref().map(|held| {
            let reason = held.reason.iter().map(|reason| format!(": {reason}"));
            format!("by {} since {}{}", held.by, rfc3339(held.since), reason.collect::<String>())
        });
        let revision = newest(&status, stack, desired, &now.sources);
        let warnings = self.warnings_of(stack, desired, &now.sources).await?;
        let mut noted = status.notes.clone();
        noted.extend(desired.and_then(|desired| self.source_gone(&desired.owner)));
        if self.records().is_late(stack).await {
            noted.push(Note::Unrecorded);
        }
        let operation = self.unwritten(stack).or_else(|| operation.as_deref().cloned());
        let mut row = StatusRow {
            stack: stack.to_string(),
            source: desired.map(|desired| source_name(&desired.owner)).unwrap_or_default(),
            revision,
            sync: status.sync,
            health: status.health,
            operation: operation.clone().map(shown).unwrap_or_default(),
            notes: of_notes(&noted),
            noted,
            suspended,
            taken_from: status.taken_from.clone(),
            drift: drift.max(status.drift),
            warnings,
            services: status.services.clone(),
            trouble: None,
        };
        let bad = desired.filter(|desired| standing.bad.contains_key(&desired.hash));
        let good = standing.good_desired.as_ref().map(|good| good.revision.clone());
        let is_said = |desired: &Desired| {
            standing.bad.get(&desired.hash).is_some_and(|bad| bad.action.is_some())
        };
        let bad = bad.map_or(Bad::No, |desired| match standing.failure_action(desired) {
            FailureAction::Rollback => good.map_or(Bad::Alone, Bad::GivesWay),
            FailureAction::Pause if is_said(desired) => Bad::Paused,
            FailureAction::Pause => Bad::Stays,
            FailureAction::Continue => Bad::GoesOn,
        });
        let last = operation.as_ref().map(|last| last.revision.clone()).unwrap_or_default();
        self.tell_trouble(stack, &mut row, (last, bad), refusal.clone()).await?;
        Ok(ExaminedStack { row, records, operation, status, refusal })
    }

    /// `tried` is the revision of the last pass, and whether it is known bad.
    async fn tell_trouble(
        &self,
        stack: &StackName,
        row: &mut StatusRow,
        mut tried: (String, Bad),
        refusal: Option<(String, RefusedRevision)>,
    ) -> Result<(), Refusal> {
        if let Some((source, refusal)) = refusal {
            tell_refusal(row, &source, &refusal);
            tried = (refusal.revision, Bad::No);
        }
        if is_troubled(row) {
            let history = self.records().history(stack).await?;
            row.trouble = Some(trouble(row, &tried.0, &history, &tried.1));
        }
        Ok(())
    }

    /// What its source last said of its files.
    async fn warnings_of(
        &self,
        stack: &StackName,
        desired: Option<&Desired>,
        sources: &BTreeMap<String, KnownSource>,
    ) -> Result<Vec<WarningRow>, Refusal> {
        let Some(Owner::Source { name, .. }) = desired.map(|desired| &desired.owner) else {
            return Ok(vec![]);
        };
        let warnings = |record: &SourceRecord| record.warnings.get(stack).cloned();
        let warnings = match sources.get(name) {
            Some(source) => warnings(&source.record),
            None => warnings(&*self.records().source(name).await?),
        };
        Ok(warnings.unwrap_or_default())
    }

    /// A stack of a source that was moved or is no longer configured stays as it is.
    fn source_gone(&self, owner: &Owner) -> Option<Note> {
        let Owner::Source { name, .. } = owner else { return None };
        let there = self.configured().get(name).is_some_and(|source| source.owner() == owner);
        (self.serves() && !there).then(|| Note::SourceGone { owner: owner.to_string() })
    }

    /// The state of the sources; empty without `serve`.
    pub async fn sources(&self) -> Vec<SourceRow> {
        let mut rows = Vec::new();
        for (name, source) in self.configured().iter() {
            // A record that cannot be read is shown as not fetched yet.
            let record = self.records().source(name).await.unwrap_or_default();
            rows.push(source_row(name, source, &record));
        }
        rows
    }
}

/// The revision that the stack is at. A commit that touched nothing of it is written nowhere but with
/// its source, and yet it is what runs.
fn newest(
    status: &Status,
    stack: &StackName,
    desired: Option<&Desired>,
    sources: &BTreeMap<String, KnownSource>,
) -> String {
    let own = || status.revision.clone();
    let Some(desired) = desired.filter(|_| status.sync == Sync::InSync) else { return own() };
    let Owner::Source { name, .. } = &desired.owner else { return own() };
    let says_so = |source: &&KnownSource| {
        source.named.contains(stack) && !source.record.refused.contains_key(stack)
    };
    let source = sources.get(name).filter(says_so);
    let commit = source.and_then(|source| source.record.commit.as_ref());
    commit.map_or_else(own, |commit| commit.revision.clone())
}

/// Stacks whose newest files are refused, with the source that says so.
fn refused(
    sources: &BTreeMap<String, KnownSource>,
) -> BTreeMap<StackName, (String, RefusedRevision)> {
    let of_source = |(name, source): (&String, &KnownSource)| {
        let name = name.clone();
        let refused = source.record.refused.clone().into_iter();
        refused.map(move |(stack, refused)| (stack, (name.clone(), refused)))
    };
    sources.iter().flat_map(of_source).collect()
}

/// These stacks, each of which must be one of all; all, where none is named.
fn these_of(stacks: &[StackName], all: &[StackName]) -> Result<Vec<StackName>, Refusal> {
    if let Some(unknown) = stacks.iter().find(|stack| !all.contains(stack)) {
        return Err(unknown_stack(unknown));
    }
    Ok(if stacks.is_empty() { all } else { stacks }.to_vec())
}

/// What the source says now cannot be used, so how it differs from what runs cannot be known; what
/// was read before is kept up meanwhile.
fn tell_refusal(row: &mut StatusRow, source: &str, refusal: &RefusedRevision) {
    if row.source.is_empty() {
        source.clone_into(&mut row.source);
    }
    if row.source != source {
        return;
    }
    let RefusedRevision { revision, why, since } = refusal.clone();
    let note = Note::Refused { revision, why: why.clone() };
    let reason = of_note(&note);
    row.sync = Sync::Unknown;
    row.notes.insert(0, reason.clone());
    row.noted.insert(0, note);
    let (state, why) = (Some(OperationState::Failed), OperationReason::Refused { why });
    row.operation = OperationRow { state, reason, why, at: rfc3339(since) };
}

fn source_name(owner: &Owner) -> String {
    match owner {
        Owner::Source { name, .. } => name.clone(),
        Owner::Cli { .. } => "cli".to_owned(),
    }
}

fn shown(operation: Operation) -> OperationRow {
    let Operation { revision: _, state, reason, at } = operation;
    let words = reason.to_string();
    OperationRow { state: Some(state), reason: words, why: reason, at: rfc3339(at) }
}

fn source_row(name: &str, source: &Source, record: &SourceRecord) -> SourceRow {
    let held = record.held.as_ref().map(|held| {
        let revision = keel_engine::short(&held.revision);
        format!("revision {revision} waits for `keel confirm {name}`: {}", held.why)
    });
    // A look that finds nothing new is written nowhere.
    let fetched = record.fetched.max(source.fetched());
    let trouble = source.unwritten().or_else(|| record.trouble.clone());
    SourceRow {
        name: name.to_owned(),
        location: source.location(),
        revision: record.revision.clone(),
        fetched: if fetched == 0 { String::new() } else { rfc3339(fetched) },
        failing: (record.failing > 0).then(|| rfc3339(record.failing)),
        problems: {
            let trouble = trouble.iter().map(ToString::to_string);
            trouble.chain(record.problems.iter().map(|problem| problem.text.clone())).collect()
        },
        held,
    }
}
