//! `status` and the sources' state.

use super::converge::unknown_stack;
use super::trouble::{Bad, is_troubled, trouble};
use crate::ask::{OperationRow, Refusal, SourceRow, StatusRow, WarningRow};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::operation::{Operation, OperationReason, OperationState};
use crate::record::{RefusedRevision, SourceRecord};
use keel_engine::{Depth, Nodes, StackName};
use keel_plan::desired::{Desired, Owner};
use keel_plan::drift::Seen;
use keel_plan::standing::Standing;
use keel_plan::status::{Note, Status, Sync, status};
use keel_plan::text::{of_note, of_notes};
use keel_plan::{Asked, Inputs};
use std::collections::BTreeMap;

/// How a stack is, with the records that say so: who needs both reads them once.
pub(crate) struct Examined {
    pub row: StatusRow,
    pub desired: Option<Desired>,
    pub standing: Standing,
    pub operation: Option<Operation>,
    pub seen: Seen,
}

impl Controller {
    /// Sync, health and operation of these stacks, or of all, by name.
    pub async fn status(&self, stacks: &[StackName]) -> Result<Vec<StatusRow>, Refusal> {
        Ok(self.examine(stacks).await?.into_iter().map(|examined| examined.row).collect())
    }

    /// The same with what it was read from.
    pub(crate) async fn examine(&self, stacks: &[StackName]) -> Result<Vec<Examined>, Refusal> {
        let nodes = self.fleet().observe(Depth::State).await?;
        let sources = self.source_records().await;
        let mut refused = refused(&sources);
        let known = self.records().stacks().await?;
        let all = known.iter().chain(refused.keys().filter(|stack| !known.contains(stack)));
        let mut rows = Vec::new();
        for stack in these_of(stacks, &all.cloned().collect::<Vec<_>>())? {
            let refusal = refused.remove(&stack);
            rows.push(self.status_of(&stack, &nodes, &sources, refusal).await?);
        }
        rows.sort_by(|a, b| a.row.stack.cmp(&b.row.stack));
        Ok(rows)
    }

    /// What each configured source said last, read once for all stacks.
    async fn source_records(&self) -> BTreeMap<String, SourceRecord> {
        let mut all = BTreeMap::new();
        for name in self.configured().keys() {
            // One that cannot be read says nothing.
            let record = self.records().source(name).await.unwrap_or_default();
            all.insert(name.clone(), record);
        }
        all
    }

    pub(crate) async fn these_or_all(
        &self,
        stacks: &[StackName],
    ) -> Result<Vec<StackName>, Refusal> {
        these_of(stacks, &self.records().stacks().await?)
    }

    async fn status_of(
        &self,
        stack: &StackName,
        nodes: &Nodes,
        sources: &BTreeMap<String, SourceRecord>,
        refusal: Option<(String, RefusedRevision)>,
    ) -> Result<Examined, Refusal> {
        let records = self.records();
        let desired = records.desired(stack).await?;
        let standing = records.standing(stack).await?;
        let status = status(&Inputs {
            stack,
            desired: desired.as_ref(),
            owner: desired.as_ref().map(|desired| &desired.owner),
            standing: &standing,
            nodes,
            pool: &self.fleet().pool(),
            asked: Asked::default(),
            now: self.now(),
        });
        let seen = records.seen(stack).await?;
        let unfixed = seen.values().filter(|seen| seen.fixed.is_none()).count();
        let drift = u32::try_from(unfixed).unwrap_or(u32::MAX);
        let suspended = standing.suspended.as_ref().map(|held| {
            let reason = held.reason.iter().map(|reason| format!(": {reason}"));
            format!("by {} since {}{}", held.by, rfc3339(held.since), reason.collect::<String>())
        });
        let revision = newest(&status, stack, desired.as_ref(), sources);
        let warnings = self.warnings_of(stack, desired.as_ref(), sources).await?;
        let mut noted = status.notes;
        noted.extend(desired.as_ref().and_then(|desired| self.source_gone(&desired.owner)));
        if records.is_late(stack).await {
            noted.push(Note::Unrecorded);
        }
        let operation = self.unwritten(stack).or(records.operation(stack).await?);
        let mut row = StatusRow {
            stack: stack.to_string(),
            source: desired.as_ref().map(|desired| source_name(&desired.owner)).unwrap_or_default(),
            revision,
            sync: status.sync,
            health: status.health,
            operation: operation.clone().map(shown).unwrap_or_default(),
            notes: of_notes(&noted),
            noted,
            suspended,
            taken_from: status.taken_from,
            drift: drift.max(status.drift),
            warnings,
            services: status.services,
            trouble: None,
        };
        let bad = desired.as_ref().filter(|desired| standing.bad.contains_key(&desired.hash));
        let good = standing.good_desired.as_ref().map(|good| good.revision.clone());
        let bad = bad.map_or(Bad::No, |desired| match desired.policy.rollback {
            true => good.map_or(Bad::Alone, Bad::GivesWay),
            false => Bad::Stays,
        });
        let last = operation.as_ref().map(|last| last.revision.clone()).unwrap_or_default();
        self.tell_trouble(stack, &mut row, (last, bad), refusal).await?;
        Ok(Examined { row, desired, standing, operation, seen })
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
        sources: &BTreeMap<String, SourceRecord>,
    ) -> Result<Vec<WarningRow>, Refusal> {
        let Some(Owner::Source { name, .. }) = desired.map(|desired| &desired.owner) else {
            return Ok(vec![]);
        };
        let warnings = |record: &SourceRecord| record.warnings.get(stack).cloned();
        let warnings = match sources.get(name) {
            Some(record) => warnings(record),
            None => warnings(&self.records().source(name).await?),
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
            let mut record = self.records().source(name).await.unwrap_or_default();
            // A look that finds nothing new is written nowhere.
            record.fetched = record.fetched.max(source.fetched());
            record.trouble = source.unwritten().or(record.trouble);
            rows.push(source_row(name, source.location(), record));
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
    sources: &BTreeMap<String, SourceRecord>,
) -> String {
    let own = || status.revision.clone();
    let Some(desired) = desired.filter(|_| status.sync == Sync::InSync) else { return own() };
    let Owner::Source { name, .. } = &desired.owner else { return own() };
    let says_so = |record: &&SourceRecord| {
        record.folders.values().any(|named| named == stack) && !record.refused.contains_key(stack)
    };
    let record = sources.get(name).filter(says_so);
    record.and_then(|record| record.commit.as_ref()).map_or_else(own, |one| one.revision.clone())
}

/// Stacks whose newest files are refused, with the source that says so.
fn refused(
    sources: &BTreeMap<String, SourceRecord>,
) -> BTreeMap<StackName, (String, RefusedRevision)> {
    let of_source = |(name, record): (&String, &SourceRecord)| {
        let name = name.clone();
        let refused = record.refused.clone().into_iter();
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

fn source_row(name: &str, location: String, record: SourceRecord) -> SourceRow {
    let held = record.held.map(|held| {
        let revision = keel_engine::short(&held.revision);
        format!("revision {revision} waits for `keel confirm {name}`: {}", held.why)
    });
    SourceRow {
        name: name.to_owned(),
        location,
        revision: record.revision,
        fetched: if record.fetched == 0 { String::new() } else { rfc3339(record.fetched) },
        failing: (record.failing > 0).then(|| rfc3339(record.failing)),
        problems: {
            let trouble = record.trouble.iter().map(ToString::to_string);
            trouble.chain(record.problems.into_iter().map(|problem| problem.text)).collect()
        },
        held,
    }
}
