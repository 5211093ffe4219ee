//! `status`, `history` and the sources' state.

use super::converge::unknown_stack;
use crate::ask::{OperationRow, Refusal, SourceRow, StatusRow};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::record::{Operation, SourceRecord};
use crate::rows::HistoryRow;
use keel_engine::{Depth, Observation, StackName};
use keel_plan::desired::Owner;
use keel_plan::status::status;
use keel_plan::{Asked, Inputs};

impl Controller {
    /// Sync, health and operation of these stacks, or of all, by name.
    pub async fn status(&self, stacks: &[StackName]) -> Result<Vec<StatusRow>, Refusal> {
        let observation = self.fleet().observe(Depth::State).await?;
        let mut rows = Vec::new();
        for stack in self.these_or_all(stacks).await? {
            rows.push(self.status_of(&stack, &observation).await?);
        }
        Ok(rows)
    }

    async fn these_or_all(&self, stacks: &[StackName]) -> Result<Vec<StackName>, Refusal> {
        let all = self.records().stacks().await?;
        if let Some(unknown) = stacks.iter().find(|stack| !all.contains(stack)) {
            return Err(unknown_stack(unknown));
        }
        Ok(if stacks.is_empty() { all } else { stacks.to_vec() })
    }

    async fn status_of(
        &self,
        stack: &StackName,
        observation: &Observation,
    ) -> Result<StatusRow, Refusal> {
        let records = self.records();
        let desired = records.desired(stack).await?;
        let standing = records.standing(stack).await?;
        let status = status(&Inputs {
            stack,
            desired: desired.as_ref(),
            owner: desired.as_ref().map(|desired| &desired.owner),
            standing: &standing,
            observation,
            asked: Asked::default(),
            now: self.now(),
        });
        let unfixed =
            |seen: &keel_plan::drift::Seen| seen.values().filter(|s| s.fixed.is_none()).count();
        let drift = u32::try_from(unfixed(&records.seen(stack).await?)).unwrap_or(u32::MAX);
        let suspended = standing.suspended.as_ref().map(|held| {
            let reason = held.reason.iter().map(|reason| format!(": {reason}"));
            format!("by {} since {}{}", held.by, rfc3339(held.since), reason.collect::<String>())
        });
        let mut notes = status.notes;
        notes.extend(desired.as_ref().and_then(|desired| self.source_gone(&desired.owner)));
        Ok(StatusRow {
            stack: stack.to_string(),
            source: desired.as_ref().map(|desired| source_name(&desired.owner)).unwrap_or_default(),
            revision: status.revision,
            sync: status.sync.to_string(),
            health: status.health.to_string(),
            operation: records.operation(stack).await?.map(shown).unwrap_or_default(),
            notes,
            suspended,
            taken_from: status.taken_from,
            drift: drift.max(status.drift),
            services: status.services,
        })
    }

    /// A stack of a source that was moved or is no longer configured stays as it is.
    fn source_gone(&self, owner: &Owner) -> Option<String> {
        let Owner::Source { name, .. } = owner else { return None };
        let there = self.configured().get(name).is_some_and(|source| source.owner() == owner);
        (self.serves() && !there).then(|| format!("{owner} is no longer configured"))
    }

    /// The state of the sources; empty without `serve`.
    pub async fn sources(&self) -> Vec<SourceRow> {
        let mut rows = Vec::new();
        for (name, source) in self.configured().iter() {
            // A record that cannot be read is shown as not fetched yet.
            let record = self.records().source(name).await.unwrap_or_default();
            rows.push(source_row(name, source.location(), record));
        }
        rows
    }

    /// What happened to these stacks, or to all; oldest first.
    pub async fn history(&self, stacks: &[StackName]) -> Result<Vec<HistoryRow>, Refusal> {
        let mut rows = Vec::new();
        for stack in self.these_or_all(stacks).await? {
            for outcome in self.records().history(&stack).await?.0 {
                let Operation { revision, state, reason, at } = outcome.operation;
                let row = HistoryRow {
                    stack: stack.to_string(),
                    revision,
                    state: state.word().to_owned(),
                    reason,
                    at: rfc3339(at),
                    until: rfc3339(outcome.until),
                    times: outcome.times,
                };
                rows.push((at, row));
            }
        }
        rows.sort_by_key(|(at, _)| *at);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

fn source_name(owner: &Owner) -> String {
    match owner {
        Owner::Source { name, .. } => name.clone(),
        Owner::Cli { .. } => "cli".to_owned(),
    }
}

fn shown(operation: Operation) -> OperationRow {
    let Operation { revision: _, state, reason, at } = operation;
    OperationRow { state: state.word().to_owned(), reason, at: rfc3339(at) }
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
        problems: record.trouble.into_iter().chain(record.problems).collect(),
        held,
    }
}
