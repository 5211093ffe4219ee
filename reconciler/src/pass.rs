//! One look at one stack: observe, plan, assign, record. Its refresh has lowered and stored what
//! is desired, so nothing here reads Git, and nothing waits for a pull, a start or a stop.

use crate::clock::milliseconds;
use crate::desk::Desk;
use crate::fleet::{self, Turns};
use crate::history::Note;
use crate::operation::OperationState;
use crate::outcome::note_of;
use crate::record::{Good, RecordError};
use crate::refusal::with_causes;
use crate::trace;
use keel_engine::labels::PROJECT;
use keel_engine::{Depth, EngineError, NodeName, Nodes, Observation, StackName, TaskId, Wish};
use keel_plan::desired::Owner;
use keel_plan::standing::Standing;
use keel_plan::verdict::{Learned, Plan};
use keel_plan::{Asked, Inputs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;
use tracing::{Instrument, debug};

/// For reading the output of what failed.
const OUTPUT_TIME: Duration = Duration::from_secs(5);

/// What a pass saw and intended.
pub(crate) struct Passed {
    pub plan: Plan,
    pub nodes: Nodes,
    /// What the nodes refused; the next pass tries again or decides otherwise.
    pub refused: Option<EngineError>,
}

impl Passed {
    /// Whether another pass, as long as nothing happens, would find nothing to do, nor to wait for.
    pub fn leaves_nothing(&self) -> bool {
        self.plan.is_settled() && self.plan.wake.is_none() && self.refused.is_none()
    }
}

/// What a look at the nodes came to. Nobody else drives those that it concerns, and nothing that it saw is
/// taken away, until it is dropped.
struct Looked<'a> {
    nodes: Nodes,
    plan: Plan,
    owner: Option<Owner>,
    held: (Turns, tokio::sync::RwLockReadGuard<'a, ()>),
}

/// What planning came to.
enum Placed {
    Planned(Box<Plan>, Option<Owner>),
    /// It tells these nodes something, at which there is no turn yet.
    Beyond(BTreeSet<NodeName>),
}

/// The turn of a stack, and the turns of the nodes.
pub(crate) type Writing = (OwnedMutexGuard<()>, Turns);

/// Why there was no pass.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassError {
    #[error("the node cannot be observed")]
    Silent(#[source] EngineError),
    #[error(transparent)]
    Driven(EngineError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error("the plan is refused, which is a bug in keel: {}", broken.join("; "))]
    Unsound {
        broken: Vec<String>,
        /// What it would have done.
        refused: Box<Plan>,
    },
}

/// Takes no hint about what changed: it looks at everything again, so every trigger goes the
/// same way and a lost one costs only delay.
pub(crate) async fn pass(
    stack: &StackName,
    asked: &Asked,
    desk: &Arc<Desk>,
) -> Result<Passed, PassError> {
    let span = trace::pass(stack, desk.fleet());
    let passed = passed(stack, asked, desk).instrument(span.clone()).await;
    if let Err(error) = &passed {
        span.in_scope(|| debug!(error = with_causes(error), "no pass"));
    }
    passed
}

async fn passed(stack: &StackName, asked: &Asked, desk: &Arc<Desk>) -> Result<Passed, PassError> {
    let _turn = desk.turn(stack).await; // never two at once for one stack
    let (depth, began) = (desk.depth_for(stack, asked), Instant::now());
    let Looked { nodes, plan, owner, held } = desk.look(stack, asked, depth).await?; // edge: nodes
    let took = began.elapsed();
    if owner.is_none() && plan.entries.is_empty() && plan.standing == Standing::default() {
        // An event about the last of a stack's tasks may come after it was forgotten.
        return Ok(Passed { plan, nodes, refused: None });
    }
    if asked.people_only {
        return desk.for_people(stack, nodes, plan, &held.0).await;
    }
    desk.routing(|routing| routing.expect(stack, &plan));
    let wishes: Vec<Wish> = plan.wishes().cloned().collect();
    desk.note_needed(&wishes).await?; // edge: disk
    let refused = desk.send(stack, &nodes, &held.0, &wishes).await.err(); // edge: nodes
    debug!(
        tasks = plan.entries.len(),
        assigned = wishes.len(),
        refused = refused.is_some(),
        "planned"
    );
    desk.routing(|all| all.learn(stack, &nodes, &plan, refused.is_some()));
    let mut note = note_of(&plan, refused.as_ref(), owner.as_ref(), desk.now());
    note.entry.plan = Some(milliseconds(took)).filter(|_| note.arrives);
    desk.chronicle(stack, &note, &plan).await?; // edge: disk
    desk.remember_good(stack, &plan).await?; // edge: disk
    desk.forget_gone(stack, &plan).await?; // edge: disk
    Ok(Passed { plan, nodes, refused })
}

impl Desk {
    /// Looks at the nodes and plans, with a turn at each node that is told something.
    async fn look(
        &self,
        stack: &StackName,
        asked: &Asked,
        depth: Depth,
    ) -> Result<Looked<'_>, PassError> {
        let mut needed = self.nodes_of(stack).await?;
        loop {
            let driving = self.fleet().turn(&needed).await.map_err(PassError::Driven)?; // of several drivers
            let kept = self.protect_all().await; // nothing goes that this pass sees
            let nodes = self.fleet().observe(depth.clone()).await.map_err(PassError::Silent)?;
            match self.place(stack, asked, &nodes, &needed).await? {
                Placed::Planned(plan, owner) => {
                    return Ok(Looked { nodes, plan: *plan, owner, held: (driving, kept) });
                }
                Placed::Beyond(more) => needed.extend(more),
            }
        }
    }

    /// The nodes that may have anything of a stack, and the desk's own.
    async fn nodes_of(&self, stack: &StackName) -> Result<BTreeSet<NodeName>, RecordError> {
        let placed = self.records().standing(stack).await?.placed.clone();
        let of = |labels: &BTreeMap<String, String>| {
            labels.get(PROJECT).is_some_and(|project| project == stack.as_str())
        };
        let has = |seen: &Observation| {
            seen.tasks_of(stack).next().is_some()
                || seen.networks.iter().any(|network| of(&network.spec.labels))
                || seen.volumes.iter().any(|volume| of(&volume.spec.labels))
        };
        Ok(self.fleet().touched(has).into_iter().chain(placed.values().cloned()).collect())
    }

    /// Plans, and records what the plan decided before anything of it is sent. Whoever was faster
    /// with a word about the stack is heard: then it is planned anew. Gives its owner, too. A plan that
    /// tells other nodes something than these is not recorded.
    async fn place(
        &self,
        stack: &StackName,
        asked: &Asked,
        nodes: &Nodes,
        needed: &BTreeSet<NodeName>,
    ) -> Result<Placed, PassError> {
        let _placing = self.placing().await;
        loop {
            let desired = self.records().desired(stack).await?;
            let (standing, revision) = self.records().standing_at(stack).await?;
            let inputs = Inputs {
                stack,
                desired: desired.as_deref(),
                owner: desired.as_ref().map(|desired| &desired.owner),
                standing: &standing,
                nodes,
                pool: &self.fleet().pool(),
                asked: asked.clone(),
                now: self.now(),
            };
            let plan = sound(&inputs, keel_plan::plan(&inputs))?;
            let told: BTreeSet<_> = plan.wishes().map(|wish| wish.node.clone()).collect();
            if !told.is_subset(needed) {
                return Ok(Placed::Beyond(told));
            }
            let same = plan.standing == *standing;
            if same || self.records().put_standing(stack, &plan.standing, revision).await? {
                let owner = desired.map(|desired| desired.owner.clone());
                return Ok(Placed::Planned(Box::new(plan), owner));
            }
        }
    }

    /// Tells the nodes, which have been handed before what their tasks name, and lent what they pull images with. A
    /// task that lacks some of it says so, and is told all the same.
    async fn send(
        &self,
        stack: &StackName,
        nodes: &Nodes,
        turns: &Turns,
        wishes: &[Wish],
    ) -> Result<(), EngineError> {
        let provided = self.fleet().provide(turns, &fleet::needs(stack, nodes, wishes)).await;
        let lent = self.fleet().lend(turns, &fleet::pulls(stack, nodes, wishes)).await;
        provided.and(lent).and(self.fleet().assign_under(turns, wishes).await)
    }

    /// Records what the pass came to, and what was said by what failed.
    async fn chronicle(
        self: &Arc<Self>,
        stack: &StackName,
        note: &Note,
        plan: &Plan,
    ) -> Result<(), RecordError> {
        self.records().finish(stack, note).await?;
        let failed = plan.learned.iter().find_map(|learned| match learned {
            Learned::Failed { task, .. } => task.clone(),
            _ => None,
        });
        if let Some(task) = failed {
            self.keep_output(stack.clone(), plan.revision.clone(), task);
        }
        Ok(())
    }

    /// The end of a task's output goes into the history. Apart from the pass: a node may be slow.
    fn keep_output(self: &Arc<Self>, stack: StackName, revision: String, task: TaskId) {
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            let lines = tokio::time::timeout(OUTPUT_TIME, desk.fleet().tail(task)).await;
            if let Ok(Ok(lines)) = lines {
                // Without it the history still says what failed.
                let _ = desk.records().add_log(&stack, &revision, &lines).await;
            }
        });
    }

    /// What has settled can be come back to.
    async fn remember_good(&self, stack: &StackName, plan: &Plan) -> Result<(), RecordError> {
        let settled = |learned: &Learned| matches!(learned, Learned::Settled { .. });
        let Some(desired) = plan.standing.good_desired.as_deref() else { return Ok(()) };
        if !plan.learned.iter().any(settled) {
            return Ok(());
        }
        let images = plan.standing.good_images.clone();
        let good = Good { desired: desired.clone(), images, at: self.now() };
        self.records().add_good(stack, &good).await
    }

    /// Of what was to go and is gone nothing is remembered. In the stack's turn, in which whoever brings
    /// it back writes, too; else what they wrote would go with it.
    async fn forget_gone(&self, stack: &StackName, plan: &Plan) -> Result<(), RecordError> {
        if !plan.is_gone() || plan.standing.suspended.is_some() {
            return Ok(());
        }
        let now = self.records().standing(stack).await?;
        if now.removed.is_some() && now.suspended.is_none() {
            self.records().forget(stack).await?;
            self.routing(|routing| routing.forget(stack));
        }
        Ok(())
    }

    /// While this is held no pass looks at the stack or forgets it, here or in another process: every pass
    /// has a turn at the desk's own node.
    pub(crate) async fn writing(&self, stack: &StackName) -> Result<Writing, EngineError> {
        let turn = self.turn(stack).await;
        let home = [self.fleet().home().clone()].into();
        Ok((turn, self.fleet().turn(&home).await?))
    }

    /// How closely the next pass of a stack looks: closely once where drift was found.
    fn depth_for(&self, stack: &StackName, asked: &Asked) -> Depth {
        let close = !asked.people_only && self.take_suspect(stack);
        if close { Depth::FieldsOf(stack.clone()) } else { Depth::State }
    }

    /// Sends what people asked of single tasks. How the stack itself is doing, the next whole pass
    /// says; that something was done is told all the same.
    async fn for_people(
        &self,
        stack: &StackName,
        nodes: Nodes,
        plan: Plan,
        turns: &Turns,
    ) -> Result<Passed, PassError> {
        let wishes: Vec<Wish> = plan.wishes().cloned().collect();
        let refused = self.send(stack, &nodes, turns, &wishes).await.err();
        if !wishes.is_empty() {
            let mut note = note_of(&plan, refused.as_ref(), None, self.now());
            if refused.is_none() {
                // What is under way goes on; else this is an operation of its own, and done.
                let history = self.records().history(stack).await?;
                let last = history.0.last().map(|last| (last.state, &last.revision));
                let open = last == Some((OperationState::Running, &plan.revision));
                note.entry.state =
                    if open { OperationState::Running } else { OperationState::Succeeded };
            }
            self.records().tell(stack, &note).await?;
        }
        Ok(Passed { plan, nodes, refused })
    }
}

/// A plan that breaks an invariant is neither recorded nor sent.
fn sound(inputs: &Inputs<'_>, plan: Plan) -> Result<Plan, PassError> {
    let broken = keel_plan::invariants::broken(inputs, &plan);
    match broken.is_empty() {
        true => Ok(plan),
        false => Err(PassError::Unsound { broken, refused: Box::new(plan) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::samples::{observation, task};

    #[tokio::test]
    async fn what_nobody_knows_any_more_is_not_remembered_because_somebody_looks() {
        let (folder, stack) = (tempfile::tempdir().unwrap(), StackName::new("gone").unwrap());
        let controller = crate::operate::samples::controller(folder.path()).await;
        let passed = pass(&stack, &Asked::default(), &controller).await.unwrap();
        assert!(passed.plan.entries.is_empty());
        controller.records().put_seen(&stack, &keel_plan::drift::Seen::default()).await.unwrap();
        assert_eq!(controller.records().stacks().await.unwrap(), []);
    }

    #[test]
    fn a_plan_that_breaks_an_invariant_is_refused() {
        let (stack, standing) = (StackName::new("hello").unwrap(), Standing::default());
        let nodes = observation([task("web", "1", 'a', 1)]);
        let inputs = Inputs {
            stack: &stack,
            desired: None,
            owner: None,
            standing: &standing,
            nodes: &nodes,
            pool: keel_plan::pool::Pool::alone(),
            asked: Asked::default(),
            now: 2,
        };
        let plan = sound(&inputs, keel_plan::plan(&inputs)).unwrap();
        let mut twice = plan.clone();
        twice.entries.extend(plan.entries);
        let refused = sound(&inputs, twice).unwrap_err().to_string();
        assert!(refused.contains("a bug in keel: two verdicts for"), "{refused}");
    }
}
