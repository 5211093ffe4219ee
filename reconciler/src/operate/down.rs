//! `down`: a stack goes away.

use super::converge::{HintOnDrop, lines, unknown_stack};
use crate::ask::{DownAsk, Outcome, Progress, Refusal};
use crate::controller::{Controller, Lines};
use crate::outcome::ending;
use crate::pass::Passed;
use crate::progress::Scene;
use crate::refusal::with_causes;
use crate::rows::RemoveAsk;
use crate::store::Keep;
use keel_engine::{Depth, EngineError, StackName, labels};
use keel_plan::Asked;
use keel_plan::standing::{Removal, Suspended};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

impl Controller {
    /// Takes a stack away; ends when nothing is left of it. Under `serve` the stack is suspended
    /// as well, so that its source does not bring it back; without, it is forgotten.
    pub fn down(&self, ask: DownAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.taken_down(ask, &lines).await })
    }

    async fn taken_down(
        &self,
        ask: DownAsk,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        let DownAsk { stack, volumes, by_path } = ask;
        if !self.records().stacks().await?.contains(&stack) {
            let there = self.data_taken_down(&stack, volumes, lines).await?;
            return match there || by_path {
                true => Ok((Outcome::Done, vec![])),
                false => Err(unknown_stack(&stack)),
            };
        }
        let (now, serves) = (self.now(), self.serves());
        let go = |standing: &mut keel_plan::standing::Standing| {
            standing.removed = Some(Removal { volumes });
            let by = Suspended { by: "keel down".into(), since: now, reason: None };
            standing.suspended = serves.then_some(by);
        };
        self.records().change_standing(&stack, Keep::ForNow, go).await?;
        let _later = HintOnDrop { controller: self, stack: &stack };
        let resources = self.resources(&stack).await?;
        let mut events = self.events();
        let mut scene: Option<Scene> = None;
        loop {
            let passed = self.pass_for_person(&stack, &Asked::default()).await?;
            let seen = Scene::of_stack(&passed.nodes, &stack, &resources);
            for step in seen.since(scene.as_ref().unwrap_or(&seen)) {
                // Nobody listens any more: what is wished for stays.
                let _ = lines.send(step).await;
            }
            scene = Some(seen);
            if passed.plan.is_gone() {
                break;
            }
            if passed.plan.is_settled() {
                return Ok(ending(&passed.plan));
            }
            if let Some(refused) = passed.refused.as_ref().filter(|_| has_ended(&passed, &stack)) {
                return Ok((Outcome::Failed, self.left_over(&stack, refused)));
            }
            self.pause(&stack, &passed, &mut events).await;
        }
        Ok((Outcome::Done, vec![]))
    }

    /// What is told of containers that have ended and cannot be removed.
    fn left_over(&self, stack: &StackName, refused: &EngineError) -> Vec<String> {
        let again = match self.serves() {
            true => "they are removed as soon as that is over".to_owned(),
            false => format!("once that is over, `keel down {stack}` removes them"),
        };
        let why = with_causes(refused);
        let what = format!("the containers of {stack} have ended, but cannot be removed: {why}");
        vec![what, format!("hint: {again}")]
    }

    /// A stack that was taken down before has its volumes left; says whether there were any.
    async fn data_taken_down(
        &self,
        stack: &StackName,
        volumes: bool,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<bool, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let left = seen.all_volumes().map(|(_, volume)| volume).filter(|volume| {
            volume.spec.labels.get(labels::PROJECT).is_some_and(|project| project == stack.as_str())
        });
        let names: Vec<_> = left.map(|volume| volume.spec.name.clone()).collect();
        let some = !names.is_empty();
        if some && volumes {
            for name in self.remove_volumes(RemoveAsk { names, force: true }).await? {
                let (subject, what) = (format!("Volume {name}"), "Removed".to_owned());
                // Nobody may listen any more.
                let _ =
                    lines.send(Progress::Step { subject, what, failed: false, detail: None }).await;
            }
        }
        Ok(some)
    }

    /// Full names of the networks and volumes that a stack names.
    async fn resources(&self, stack: &StackName) -> Result<BTreeSet<String>, Refusal> {
        let desired = self.records().desired(stack).await?;
        let names = desired
            .iter()
            .flat_map(|desired| desired.networks.keys().chain(desired.volumes.keys()).cloned());
        Ok(names.collect())
    }
}

/// Whether none of a stack's containers runs any more.
fn has_ended(passed: &Passed, stack: &StackName) -> bool {
    let mut mine = passed.nodes.tasks_of(stack);
    mine.all(|(_, task)| task.pid.is_none())
}
