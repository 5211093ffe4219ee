//! `rebalance`: tasks leave fuller nodes for emptier ones, as a rollout without a change.

use super::converge::{Stay, lines, unknown_stack};
use crate::ask::{Outcome, Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::rows::{MoveRow, RebalanceAsk};
use crate::store::Keep;
use keel_engine::{Depth, StackName};
use keel_plan::standing::{Rebalance, Standing};
use keel_plan::{Asked, Inputs, Move, text};
use tokio::sync::mpsc;

impl Controller {
    /// What would move of these stacks, or of all that nobody suspended.
    pub async fn moves(&self, stacks: &[StackName]) -> Result<Vec<MoveRow>, Refusal> {
        let nodes = self.fleet().observe(Depth::State).await?;
        let mut rows = Vec::new();
        for stack in self.these_or_all(stacks).await? {
            let desired = self.records().desired(&stack).await?;
            let standing = self.records().standing(&stack).await?;
            match &standing.suspended {
                Some(_) if stacks.is_empty() => continue,
                Some(by) => return Err(is_suspended(&stack, &by.by)),
                None => {}
            }
            let moves = keel_plan::rebalanced(&Inputs {
                stack: &stack,
                desired: desired.as_deref(),
                owner: desired.as_ref().map(|desired| &desired.owner),
                standing: &standing,
                nodes: &nodes,
                pool: &self.fleet().pool(),
                asked: Asked::default(),
                now: self.now(),
            });
            rows.extend(moves.iter().map(|one| row(&stack, one)));
        }
        Ok(rows)
    }

    /// Spreads a stack's tasks evenly; the last line is [`Progress::End`].
    pub fn rebalance(&self, ask: RebalanceAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.spread(ask, &lines).await })
    }

    async fn spread(
        &self,
        ask: RebalanceAsk,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        let stack = &ask.stack;
        if self.records().desired(stack).await?.is_none() {
            return Err(unknown_stack(stack));
        }
        if !ask.again {
            let since = self.now();
            let set = |standing: &mut Standing| {
                standing.rebalance = Some(Rebalance { by: ask.by.clone(), since });
            };
            let _writing = self.writing(stack).await?;
            self.records().change_standing(stack, Keep::OnDisk, set).await?;
        }
        self.drive(stack, Asked::default(), Stay::of(ask.detach), lines).await
    }
}

fn is_suspended(stack: &StackName, by: &str) -> Refusal {
    let why = format!("stack {stack} was suspended by {by}: none of its tasks is moved");
    Refusal::conflict(why).hint(format!("`keel resume {stack}` first"))
}

fn row(stack: &StackName, one: &Move) -> MoveRow {
    MoveRow {
        stack: stack.clone(),
        slot: format!("{}.{}", one.slot.service, one.slot.slot),
        from: one.from.to_string(),
        to: one.to.to_string(),
        text: text::of_move(one),
    }
}
