//! `drift`: what differs from what was applied, where, and since when.

use crate::ask::{DriftReport, FindingRow, Refusal};
use crate::clock::rfc3339;
use crate::controller::Controller;
use crate::record::RecordError;
use keel_engine::{Depth, Level, Nodes, StackName};
use keel_plan::desired::DriftPolicy;
use keel_plan::drift::{DriftRow, report, report_of_nodes};
use keel_plan::{Asked, Inputs};
use std::collections::BTreeSet;

impl Controller {
    /// Looks closely, now. Without a stack: everything, the nodes' own things included.
    pub async fn drift(&self, stack: Option<&StackName>) -> Result<DriftReport, Refusal> {
        let nodes = self.fleet().observe(Depth::Fields).await?;
        let (mut findings, mut scaled) = (Vec::new(), Vec::new());
        for known in self.named_or_all(stack).await? {
            let told = self.scales(&known).await?;
            scaled.extend(told.into_iter().map(|line| format!("{known}: {line}")));
            let rows = self.drift_of(&known, &nodes).await?;
            if self.serves() && rows.iter().any(|row| !row.fixed) {
                self.look_closely(known);
            }
            findings.extend(rows);
        }
        if stack.is_none() {
            findings.extend(self.drift_of_node(&nodes).await?);
        }
        let rows = findings.into_iter().map(shown).collect();
        Ok(DriftReport { version: 1, at: rfc3339(self.now()), scaled, findings: rows })
    }

    async fn named_or_all(&self, stack: Option<&StackName>) -> Result<Vec<StackName>, Refusal> {
        let all = self.records().stacks().await?;
        match stack {
            None => Ok(all),
            Some(stack) if all.contains(stack) => Ok(vec![stack.clone()]),
            Some(stack) => Err(super::converge::unknown_stack(stack)),
        }
    }

    /// What differs and is no stack's.
    async fn drift_of_node(&self, nodes: &Nodes) -> Result<Vec<DriftRow>, RecordError> {
        let known = self.records().stacks().await?;
        let seen = self.records().seen_of_node().await?;
        let report = report_of_nodes(nodes, &known, &seen, self.now());
        if report.seen != *seen {
            self.records().put_seen_of_node(&report.seen).await?;
        }
        Ok(report.rows)
    }

    /// The stack's differences; since when each is known is remembered.
    async fn drift_of(
        &self,
        stack: &StackName,
        nodes: &Nodes,
    ) -> Result<Vec<DriftRow>, RecordError> {
        let desired = self.records().desired(stack).await?;
        let standing = self.records().standing(stack).await?;
        let inputs = Inputs {
            stack,
            desired: desired.as_deref(),
            owner: desired.as_ref().map(|desired| &desired.owner),
            standing: &standing,
            nodes,
            pool: &self.fleet().pool(),
            asked: Asked::default(),
            now: self.now(),
        };
        let seen = self.records().seen(stack).await?;
        let report = report(&inputs, &seen);
        if report.seen != *seen {
            self.records().put_seen(stack, &report.seen).await?;
        }
        Ok(report.rows)
    }
}

/// Looks closely at everything, and gives the stacks that differ.
pub(crate) async fn differing(controller: &Controller) -> Result<BTreeSet<StackName>, Refusal> {
    let nodes = controller.fleet().observe(Depth::Fields).await?;
    let mut differing = BTreeSet::new();
    for stack in controller.records().stacks().await? {
        let rows = controller.drift_of(&stack, &nodes).await?;
        if rows.iter().any(|row| !row.fixed) {
            differing.insert(stack);
        }
    }
    Ok(differing)
}

fn shown(row: DriftRow) -> FindingRow {
    let level = match row.level {
        Level::Task => "task",
        Level::Network => "network",
        Level::Volume => "volume",
        Level::Node => "node",
    };
    let policy = match row.policy {
        DriftPolicy::Heal => "heal",
        DriftPolicy::Report => "report",
    };
    FindingRow {
        id: row.id,
        stack: row.stack,
        service: row.service,
        task: row.task,
        node: row.node,
        level: level.to_owned(),
        field: row.field.to_string(),
        desired: row.desired,
        at: row.at,
        applied: row.applied,
        observed: row.observed,
        first_seen: rfc3339(row.first_seen),
        cause: row.cause.map(|cause| cause.to_string()),
        policy: policy.to_owned(),
        fixed: row.fixed,
    }
}
