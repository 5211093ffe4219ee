//! What is seen at one moment of all that may be news. Reads records and asks how stacks are;
//! `judge` says what it means.

use super::Wants;
use super::about::Subject;
use super::book::Looked;
use super::drifted::Found;
use super::judge::{KnownStack, of_source};
use super::nodes::{of_controller, of_node};
use crate::ask::Refusal;
use crate::controller::Controller;
use crate::examined::ExaminedStack;
use crate::operate::Scope;
use crate::record::SourceRecord;
use keel_engine::StackName;
use keel_plan::desired::DriftPolicy;
use keel_plan::drift::{DriftRow, SeenRow};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Controller {
    pub(super) async fn look_for_news(&self) -> Result<Looked, Refusal> {
        let mut looked = Looked::default();
        let mut sources = BTreeMap::new();
        for (name, source) in self.configured().iter() {
            let mut record = self.records().source(name).await?;
            if let Some(unwritten) = source.unwritten() {
                Arc::make_mut(&mut record).trouble = Some(unwritten);
            }
            let seen = of_source(name, &record, source.poll());
            looked.subjects.insert(Subject::Source(name.clone()), seen);
            sources.insert(name.clone(), record);
        }
        self.look_at_nodes(&mut looked);
        let examined = self.examine_all(Scope::Complete).await?;
        for examined in examined.all() {
            self.look_at(examined, &sources, &mut looked);
        }
        Ok(looked)
    }

    /// Nodes, where there is more than the controller's own.
    fn look_at_nodes(&self, looked: &mut Looked) {
        let (fleet, home) = (self.fleet(), self.fleet().home());
        let others: Vec<_> = fleet.names().into_iter().filter(|name| name != home).collect();
        if others.is_empty() {
            return;
        }
        for name in others {
            let silence = fleet.silence(&name);
            let silence = silence.as_ref().map(|(since, why)| (*since, why.as_str()));
            let seen = of_node(&name, fleet.liveness(&name), silence);
            looked.subjects.insert(Subject::Node(name.to_string()), seen);
        }
        let seen = of_controller(fleet.is_isolated(), self.now());
        looked.subjects.insert(Subject::Node(home.to_string()), seen);
    }

    fn look_at(
        &self,
        examined: &ExaminedStack,
        sources: &BTreeMap<String, Arc<SourceRecord>>,
        looked: &mut Looked,
    ) {
        let ExaminedStack { row, records, operation, .. } = examined;
        let Ok(stack) = StackName::new(row.stack.as_str()) else { return };
        let operation = operation.clone().unwrap_or_default();
        let none = Arc::default();
        let source = sources.get(&row.source).unwrap_or(&none);
        let known = KnownStack {
            stack: &stack,
            row,
            desired: records.desired.as_deref(),
            standing: &records.standing,
            operation: &operation,
            source,
            host: &self.settings().host,
        };
        looked.subjects.insert(Subject::Stack(row.stack.clone()), known.seen());
        let found = records.seen.values().map(found).collect();
        looked.drift.insert(row.stack.clone(), (row.source.clone(), found));
        let asked = self.settings().destinations.iter();
        let mut asked = asked.filter_map(|one| match &one.wants {
            Wants::Commits(source) => Some(source),
            Wants::Messages(_) => None,
        });
        if asked.any(|source| *source == row.source) {
            looked.fares.extend(known.fares());
        }
    }
}

fn found(seen: &SeenRow) -> Found {
    let DriftRow { task, service, field, .. } = &seen.row;
    let whose = if task.is_empty() { service } else { task };
    let words = if whose.is_empty() { field.to_string() } else { format!("{whose}: {field}") };
    Found {
        id: seen.row.id.clone(),
        words,
        since: seen.row.first_seen,
        fixed: seen.fixed.is_some() || seen.row.fixed,
        heals: seen.row.policy == DriftPolicy::Heal,
    }
}
