//! `plan`: what a pass would do now, for people to read.

use super::converge::unknown_stack;
use crate::ask::{PlanReport, PlanTarget, Refusal, StackPlan, VerdictRow};
use crate::controller::Controller;
use keel_engine::{Depth, Nodes, StackName};
use keel_plan::desired::Desired;
use keel_plan::{Asked, Inputs, text};
use std::sync::Arc;

impl Controller {
    /// Plans without doing. No targets: every stack that is known.
    pub async fn plan(&self, targets: Vec<PlanTarget>) -> Result<PlanReport, Refusal> {
        // As closely as whoever applies it will look.
        let nodes = self.fleet().observe(Depth::Fields).await?;
        let targets = if targets.is_empty() {
            self.records().stacks().await?.into_iter().map(PlanTarget::Stack).collect()
        } else {
            targets
        };
        let mut stacks = Vec::new();
        for target in targets {
            let (stack, desired) = match target {
                PlanTarget::Stack(stack) => self.stored(stack).await?,
                PlanTarget::Submitted(submission) => {
                    (submission.desired.stack.clone(), Some(submission.desired))
                }
            };
            stacks.push(self.planned(&stack, desired.as_ref(), &nodes).await?);
        }
        stacks.sort_by(|a, b| a.stack.cmp(&b.stack));
        Ok(PlanReport { version: 1, stacks, previews: vec![] })
    }

    /// What a stack shall be, as stored last; `None`: nothing is known of it.
    pub async fn desired(&self, stack: &StackName) -> Result<Option<Desired>, Refusal> {
        Ok(self.records().desired(stack).await?.map(Arc::unwrap_or_clone))
    }

    async fn stored(&self, stack: StackName) -> Result<(StackName, Option<Desired>), Refusal> {
        if !self.records().stacks().await?.contains(&stack) {
            return Err(unknown_stack(&stack));
        }
        let desired = self.desired(&stack).await?;
        Ok((stack, desired))
    }

    async fn planned(
        &self,
        stack: &StackName,
        desired: Option<&Desired>,
        nodes: &Nodes,
    ) -> Result<StackPlan, Refusal> {
        let owner = self.records().owner(stack).await?;
        let standing = self.records().standing(stack).await?;
        Ok(stack_plan(&Inputs {
            stack,
            desired,
            owner: owner.as_ref(),
            standing: &standing,
            nodes,
            pool: &self.fleet().pool(),
            asked: Asked::default(),
            now: self.now(),
        }))
    }
}

/// What a pass over these would do.
pub(super) fn stack_plan(inputs: &Inputs<'_>) -> StackPlan {
    let plan = keel_plan::plan(inputs);
    let verdicts = text::rows(&plan).into_iter().map(shown).collect();
    let (stack, revision) = (inputs.stack.to_string(), plan.revision);
    let desired = inputs.desired.into_iter();
    let scaled =
        desired.flat_map(|desired| super::scale::words(inputs.standing, desired, inputs.now));
    let notes = text::of_notes(&keel_plan::out_of_reach(inputs));
    StackPlan { stack, revision, change: None, scaled: scaled.collect(), verdicts, notes }
}

fn shown(row: text::PlanRow) -> VerdictRow {
    let text::PlanRow { slot, resource, node, action, hold, reason, text } = row;
    let node = node.map(|node| node.to_string()).unwrap_or_default();
    VerdictRow { slot, resource, node, action, hold, reason, text }
}
