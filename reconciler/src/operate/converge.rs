//! `up` and `apply`: store what is desired, then pass until only final holds remain.

use crate::ask::{ConvergeAsk, Outcome, PlanTarget, Progress, Refusal, RefusalKind, Submission};
use crate::controller::{Controller, Lines};
use crate::fleet::next_of;
use crate::history::{HistoryEntry, Note};
use crate::operation::{OperationReason, OperationState};
use crate::outcome::{
    awaited, ending, only_health_is_open, only_missing_images_are_open,
    only_vain_attempts_are_open, waiting,
};
use crate::owners::{Claim, claim};
use crate::pass::{PassError, Passed, pass};
use crate::progress::{Scene, step};
use crate::refusal::with_causes;
use crate::store::Keep;
use base64::Engine as _;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use keel_engine::{Assignment, Content, Event, Phase, Place, StackName};
use keel_plan::Asked;
use keel_plan::desired::{Desired, Owner};
use keel_plan::standing::Standing;
use keel_plan::verdict::{Learned, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Without a health check's own limits.
const LEAST_HEALTH_TIME: u64 = 120_000;
/// Who waits for so long wonders what for.
const WONDERS: Duration = Duration::from_secs(5);
/// A node that refuses for so long, as one whose disk takes nothing, does so to the end.
const REFUSED: Duration = Duration::from_secs(10);
/// A look without an event: events may be skipped, and the plan may wait for time alone.
const PATIENCE: Duration = Duration::from_secs(1);

impl Controller {
    /// Converges one stack; `up` and `apply`. The last line is [`Progress::End`]. Dropping the
    /// stream stops the watching, and without `serve` the passes; wishes stay.
    pub fn converge(&self, ask: ConvergeAsk) -> Lines<Progress> {
        let controller = self.clone();
        lines(move |lines| async move { controller.converged(ask, &lines).await })
    }

    async fn converged(
        &self,
        ask: ConvergeAsk,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        let stack = match &ask.target {
            PlanTarget::Stack(stack) => stack.clone(),
            PlanTarget::Submitted(submission) => submission.desired.stack.clone(),
        };
        let writing = self.writing(&stack).await?;
        if let PlanTarget::Submitted(submission) = ask.target {
            self.submit(*submission, ask.take_over).await?;
        }
        self.wanted_again(&stack, &ask.services, ask.keep_stopped).await?;
        drop(writing);
        let asked = Asked {
            recreate: ask.recreate,
            resolve: ask.resolve,
            pull: ask.pull,
            services: ask.services,
            take_over: ask.take_over,
            people_only: false,
        };
        self.drive(&stack, asked, Stay::of(ask.detach), lines).await
    }

    /// A person wants it up: what they or others held back is so no longer.
    async fn wanted_again(
        &self,
        stack: &StackName,
        services: &[String],
        keep_stopped: bool,
    ) -> Result<(), Refusal> {
        let Some(desired) = self.records().desired(stack).await? else {
            return Err(unknown_stack(stack));
        };
        if !keep_stopped {
            let lifted = wanted_services(&desired, services);
            let lift = |standing: &mut Standing| lift(standing, &lifted);
            self.records().change_standing(stack, Keep::OnDisk, lift).await?;
        }
        Ok(())
    }

    /// Stores what somebody loaded: contents first, then what names them.
    pub(crate) async fn submit(
        &self,
        submission: Submission,
        take_over: bool,
    ) -> Result<StackName, Refusal> {
        let Submission { desired, contents } = submission;
        let stack = desired.stack.clone();
        let owner = self.records().owner(&stack).await?;
        let dir = match &desired.owner {
            Owner::Cli { path } => Path::new(path),
            Owner::Source { .. } => {
                return Err(Refusal::invalid("only a source can claim to be one"));
            }
        };
        match claim(owner.as_ref(), &desired.owner, dir, take_over) {
            Claim::Refused(why) => return Err(Refusal::conflict(format!("stack {stack} {why}"))),
            Claim::Taken(from) => self.note_taken(&stack, &from).await?,
            Claim::Granted => {}
        }
        self.hand_over(contents).await?;
        self.records().put_desired(&desired).await?;
        Ok(stack)
    }

    /// Gives content to the controller's own node, checked against its digest.
    pub(crate) async fn hand_over(
        &self,
        contents: BTreeMap<keel_engine::Digest, String>,
    ) -> Result<(), Refusal> {
        let decoded = contents.into_iter().map(|(digest, text)| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            match bytes {
                Ok(bytes) if keel_engine::Digest::of(&bytes) == digest => {
                    Ok(Assignment::Content(Content { digest, bytes: Arc::from(bytes) }))
                }
                _ => {
                    Err(Refusal::invalid(format!("the content does not match its digest {digest}")))
                }
            }
        });
        let wishes = decoded.collect::<Result<Vec<_>, _>>()?;
        Ok(self.fleet().keep(&wishes).await?)
    }

    /// Passes until only final holds remain, or the health time is over.
    pub(crate) async fn drive(
        &self,
        stack: &StackName,
        asked: Asked,
        stay: Stay,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        // A person wants it to be as it shall be: what drifted too.
        self.suspect(stack);
        self.drive_on(stack, asked, stay, lines).await
    }

    /// The same of a stack that is suspected already, if it differs.
    pub(crate) async fn drive_on(
        &self,
        stack: &StackName,
        mut asked: Asked,
        stay: Stay,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(Outcome, Vec<String>), Refusal> {
        let later = HintOnDrop { controller: self, stack };
        let mut events = self.events();
        let mut story = Story::begin(self, stack).await?;
        loop {
            let passed = self.pass_for_person(stack, &asked).await?;
            // What outlives the first pass is in the stack's memory now.
            asked = Asked { services: asked.services, ..Asked::default() };
            story.go_on(&passed, lines).await?;
            if let Some(end) = story.refusal(&passed) {
                return Ok(end);
            }
            // Without a daemon nobody else waits for a successor to hold out.
            let late = !self.serves() && story.has_predecessors(&passed);
            let stay = if late && stay == Stay::Started { Stay::Settled } else { stay };
            if let Some(end) = story.end(&passed, stay) {
                self.leave_off(stack, &passed, end.0).await?;
                if passed.leaves_nothing() {
                    later.end();
                }
                return Ok(end);
            }
            self.pause(stack, &passed, &mut events).await;
        }
    }

    /// Where nobody passes over the stack any more, what was still watched counts as done.
    async fn leave_off(
        &self,
        stack: &StackName,
        passed: &Passed,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        if self.serves() || outcome != Outcome::Done || passed.plan.is_settled() {
            return Ok(());
        }
        let entry = HistoryEntry {
            revision: passed.plan.revision.clone(),
            state: OperationState::Succeeded,
            reason: OperationReason::Unwatched,
            at: self.now(),
            ..HistoryEntry::default()
        };
        let note = Note { entry, ..Note::default() };
        Ok(self.records().finish(stack, &note).await?)
    }

    pub(crate) async fn pass_for_person(
        &self,
        stack: &StackName,
        asked: &Asked,
    ) -> Result<Passed, Refusal> {
        pass(stack, asked, self).await.map_err(|error| match error {
            PassError::Driven(error) => error.into(),
            error => Refusal::failed(&error),
        })
    }

    /// Until an event that may concern the stack, the time that the plan names, or a little while.
    pub(crate) async fn pause(
        &self,
        stack: &StackName,
        passed: &Passed,
        events: &mut BoxStream<'static, Event>,
    ) {
        let wake = passed.plan.wake.map(|at| at.saturating_sub(self.now()));
        let wait = wake.map_or(PATIENCE, |wake| Duration::from_millis(wake).min(PATIENCE));
        let concerns = |event: &Event| {
            self.routing(|routing| routing.of(event)).is_none_or(|about| about.contains(stack))
        };
        let until = Instant::now() + wait.max(Duration::from_millis(10));
        next_of(events, until, concerns).await;
    }
}

/// What a person began is looked after by the loops, where there are some: also when the person
/// does not stay to the end.
pub(crate) struct HintOnDrop<'a> {
    pub controller: &'a Controller,
    pub stack: &'a StackName,
}

impl HintOnDrop<'_> {
    /// The last pass left nothing to the loops: however many stacks there are, they are not passed over again.
    fn end(self) {
        self.controller.notifier().wake();
        std::mem::forget(self);
    }
}

impl Drop for HintOnDrop<'_> {
    fn drop(&mut self) {
        if self.controller.serves() {
            self.controller.stacks().hint(self.stack.clone());
        }
    }
}

/// How long whoever has a stack converged stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// Until all was started.
    Started,
    /// Until all is well, or cannot be.
    Settled,
    /// The same, and images that their registries do not have yet are awaited as the loops await them.
    Images,
}

impl Stay {
    pub fn of(detach: bool) -> Self {
        if detach { Self::Started } else { Self::Settled }
    }
}

/// What is told and remembered while a stack converges.
struct Story {
    stack: StackName,
    resources: BTreeSet<String>,
    images: Vec<String>,
    scene: Scene,
    /// Whether anything was told.
    begun: bool,
    failures: Vec<String>,
    /// When the images were there; the health time counts from then.
    ready: Option<Instant>,
    /// What is waited for, by what it is about, since when, and whether that was told.
    waits: BTreeMap<String, (String, Instant, bool)>,
    /// Since when the node refuses what is asked of it.
    refused: Option<Instant>,
}

impl Story {
    async fn begin(controller: &Controller, stack: &StackName) -> Result<Self, Refusal> {
        let seen = controller.fleet().observe(keel_engine::Depth::State).await?;
        let desired = controller.records().desired(stack).await?;
        let resources = desired
            .iter()
            .flat_map(|desired| desired.networks.keys().chain(desired.volumes.keys()).cloned());
        let services = desired.iter().flat_map(|desired| desired.services.values());
        let images: Vec<_> = services.map(|service| service.spec.image.clone()).collect();
        let resources = resources.collect();
        let scene = Scene::of_stack(&seen, stack, &resources).with_images(&seen, &images);
        let stack = stack.clone();
        let (begun, failures, ready, waits) = (false, vec![], None, BTreeMap::new());
        let refused = None;
        Ok(Self { stack, resources, images, scene, begun, failures, ready, waits, refused })
    }

    async fn go_on(
        &mut self,
        passed: &Passed,
        lines: &mpsc::Sender<Progress>,
    ) -> Result<(), Refusal> {
        let seen = &passed.nodes;
        let now =
            Scene::of_stack(seen, &self.stack, &self.resources).with_images(seen, &self.images);
        let running = if self.begun { vec![] } else { self.scene.running() };
        self.begun = true;
        let waits = self.waits_worth_telling(passed);
        for step in running.into_iter().chain(now.since(&self.scene)).chain(waits) {
            // Nobody listens any more: the caller went away, and so do we.
            lines.send(step).await.map_err(|_| Refusal::invalid("the client is gone"))?;
        }
        self.scene = now;
        for learned in &passed.plan.learned {
            if let Learned::Failed { cause, .. } = learned {
                self.failures.push(keel_plan::text::of_failure(cause));
            }
        }
        let preparing = seen.all_images().any(|(_, image)| image.pulling.is_some())
            || self.tasks(seen).any(|task| matches!(task.phase, Phase::Pending | Phase::Preparing));
        let began = self.ready.filter(|_| !preparing).unwrap_or_else(Instant::now);
        self.ready = Some(began);
        Ok(())
    }

    /// What has been waited for so long that whoever looks on wonders: once for each reason.
    fn waits_worth_telling(&mut self, passed: &Passed) -> Vec<Progress> {
        let (open, before) = (waiting(&passed.plan), std::mem::take(&mut self.waits));
        let mut told = Vec::new();
        for (slot, why) in open {
            let container = self.tasks(&passed.nodes).find(|t| t.place.slot() == Some(&slot));
            if container.is_some_and(|task| task.attempts > 0) {
                continue; // Its progress says what it lacks.
            }
            let subject = match container {
                Some(task) => format!("Container {}", task.spec.container_name),
                None => format!("Service {}.{}", slot.service, slot.slot),
            };
            let known = before.get(&subject).filter(|(reason, ..)| *reason == why);
            let (since, mut said) =
                known.map_or((Instant::now(), false), |(_, since, said)| (*since, *said));
            if !said && since.elapsed() > WONDERS {
                told.push(step(&subject, "Waiting", false, Some(why.clone())));
                said = true;
            }
            self.waits.insert(subject, (why, since, said));
        }
        told
    }

    fn tasks<'a>(
        &'a self,
        seen: &'a keel_engine::Nodes,
    ) -> impl Iterator<Item = &'a keel_engine::ObservedTask> {
        let mine = |place: &Place| matches!(place, Place::Slot(slot) if slot.stack == self.stack);
        seen.all_tasks().filter(move |task| mine(&task.place))
    }

    /// What the node refuses for so long is not waited for.
    fn refusal(&mut self, passed: &Passed) -> Option<(Outcome, Vec<String>)> {
        let Some(refused) = &passed.refused else {
            self.refused = None;
            return None;
        };
        let since = *self.refused.get_or_insert_with(Instant::now);
        let (_, notes) = self.with_failures((Outcome::Failed, vec![with_causes(refused)]));
        (since.elapsed() > REFUSED).then_some((Outcome::Failed, notes))
    }

    /// Whether a slot holds more than one task.
    fn has_predecessors(&self, passed: &Passed) -> bool {
        let mut slots = BTreeSet::new();
        self.tasks(&passed.nodes).any(|task| !slots.insert(task.place.slot()))
    }

    fn end(&self, passed: &Passed, stay: Stay) -> Option<(Outcome, Vec<String>)> {
        let plan = &passed.plan;
        if plan.is_settled() || (stay == Stay::Started && only_health_is_open(plan)) {
            return Some(self.with_failures(ending(plan)));
        }
        let seen = &passed.nodes;
        let missing = stay != Stay::Images && only_missing_images_are_open(plan, seen);
        if missing || only_vain_attempts_are_open(plan, seen) {
            let (_, notes) = self.with_failures(ending(plan));
            return Some((Outcome::Failed, notes.into_iter().chain(awaited(plan)).collect()));
        }
        let limit = Duration::from_millis(self.health_time(passed));
        let late = self.ready.is_some_and(|ready| ready.elapsed() > limit);
        (late && only_health_is_open(plan)).then(|| self.too_late(plan))
    }

    fn with_failures(&self, (outcome, notes): (Outcome, Vec<String>)) -> (Outcome, Vec<String>) {
        if self.failures.is_empty() {
            return (outcome, notes);
        }
        let others = notes.into_iter().filter(|note| !self.failures.contains(note));
        (Outcome::Failed, self.failures.iter().cloned().chain(others).collect())
    }

    fn too_late(&self, plan: &Plan) -> (Outcome, Vec<String>) {
        let (outcome, notes) = self.with_failures(ending(plan));
        let outcome = if outcome == Outcome::Done { Outcome::Unhealthy } else { outcome };
        (outcome, notes.into_iter().chain(awaited(plan)).collect())
    }

    /// The longest that any of its tasks may take, and a little for the plan to judge it first.
    fn health_time(&self, passed: &Passed) -> u64 {
        let limits = self.tasks(&passed.nodes).filter_map(|task| task.health_limit);
        limits.max().unwrap_or(0).max(LEAST_HEALTH_TIME) + 30_000
    }
}

/// Services that a person names; all, where they name none.
fn wanted_services(desired: &Desired, named: &[String]) -> BTreeSet<String> {
    if named.is_empty() {
        return desired.services.keys().cloned().collect();
    }
    named.iter().cloned().collect()
}

/// A person wants it up: what was stopped, suspended or taken down is so no longer.
fn lift(standing: &mut Standing, services: &BTreeSet<String>) {
    standing.removed = None;
    standing.suspended = None;
    standing.pinned = None;
    let of = |slot: &String| {
        slot.rsplit_once('.').map_or(slot.as_str(), |(service, _)| service).to_owned()
    };
    standing.stopped.retain(|slot| !services.contains(&of(slot)));
}

pub(crate) fn unknown_stack(stack: &StackName) -> Refusal {
    Refusal::not_found(format!("no such stack: {stack}"))
        .hint("`keel status` lists the stacks; a path contains `/` or `.`")
}

/// Runs the work in a task of its own that ends when nobody listens, and turns its end into the
/// last line.
pub(crate) fn lines<F>(work: impl FnOnce(mpsc::Sender<Progress>) -> F) -> Lines<Progress>
where
    F: Future<Output = Result<(Outcome, Vec<String>), Refusal>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(64);
    let (listening, work) = (sender.clone(), work(sender.clone()));
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = work => ended,
            () = listening.closed() => return,
        };
        let (outcome, notes) = ended.unwrap_or_else(|refusal| match refusal.kind {
            RefusalKind::TakenOver => (Outcome::TakenOver, vec![refusal.message]),
            _ => (Outcome::Failed, told(&refusal)),
        });
        // Nobody left to tell is no failure.
        let _ = sender.send(Progress::End { outcome, notes }).await;
    });
    let next = |mut receiver: mpsc::Receiver<Progress>| async move {
        let line = receiver.recv().await?;
        Some((line, receiver))
    };
    futures_util::stream::unfold(receiver, next).boxed()
}

fn told(refusal: &Refusal) -> Vec<String> {
    let hint = refusal.hint.iter().map(|hint| format!("hint: {hint}"));
    std::iter::once(refusal.message.clone()).chain(hint).collect()
}
