//! `history`: what was done to stacks, and why.

use crate::ask::Refusal;
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::history::HistoryEntry;
use crate::rows::{HistoryRow, Stages};
use keel_engine::StackName;

impl Controller {
    /// What happened to these stacks, or to all; oldest first.
    pub async fn history(&self, stacks: &[StackName]) -> Result<Vec<HistoryRow>, Refusal> {
        let mut rows = Vec::new();
        for stack in self.these_or_all(stacks).await? {
            let history = self.records().history(&stack).await?;
            rows.extend(history.0.iter().cloned().map(|entry| (entry.number, row(&stack, entry))));
        }
        rows.sort_by_key(|(number, _)| *number);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

fn row(stack: &StackName, entry: HistoryEntry) -> HistoryRow {
    let (stages, trigger) = (stages(&entry), entry.began_by());
    HistoryRow {
        number: entry.number,
        stack: stack.to_string(),
        revision: entry.revision,
        trigger,
        author: entry.author,
        subject: entry.subject,
        state: entry.state,
        reason: entry.reason.to_string(),
        why: entry.reason,
        at: rfc3339(entry.at),
        until: rfc3339(entry.until),
        times: entry.times,
        actions: entry.actions.iter().map(ToString::to_string).collect(),
        done: entry.actions,
        stages,
        log: entry.log,
    }
}

/// How long each stage of an operation took that did something.
fn stages(entry: &HistoryEntry) -> Stages {
    if entry.actions.is_empty() {
        return Stages::default();
    }
    let since = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
    let HistoryEntry { fetch, load, plan, .. } = *entry;
    Stages {
        fetch,
        load,
        plan,
        pull: since(Some(entry.at), entry.pulled),
        start: since(entry.pulled, entry.started),
        health: since(entry.started, Some(entry.until)),
    }
}
