//! `start`, `stop`, `restart`, `kill`, `rm`: a person's word about single tasks.
//!
//! # Invariants
//! - A word about a stack's task is a decision of the planner, as a push is: it is put into the stack's
//!   memory, and a pass carries it out with a generation of its own. Whoever dies meanwhile, the next pass
//!   goes on with it. Only tasks of no stack are told directly: nobody plans for them.
//! - A stop is a latch of the slot: no pass starts it again.
//! - Nothing but what was asked, and what follows from it, is moved.

mod teller;
mod vigil;

use super::converge::HintOnDrop;
use super::oneoff::next_of;
use super::resolve::{listed_names, newest, reachable, resolve};
use crate::ask::{Acting, Refusal, TaskAsk, TaskVerb};
use crate::controller::{Controller, Lines};
use crate::fleet::next_by;
use crate::outcome::ATTEMPTS;
use crate::rows::TaskDone;
use crate::store::Keep;
use futures_util::future::join_all;
use keel_engine::{
    Depth, Goal, Nodes, ObservedTask, Open, Phase, Slot, StackName, TaskAssignment, TaskId,
};
use keel_plan::Asked;
use keel_plan::standing::{Ask, AskVerb, Standing};
use std::collections::BTreeMap;
use std::time::Duration;
use teller::Teller;
use tokio::sync::mpsc;
use tokio::time::Instant;
use vigil::Vigil;

/// Between two looks when no event comes; events may be skipped.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So long a command stays for one-offs that go along with what it started.
const REJOIN: Duration = Duration::from_secs(60);

impl Controller {
    /// Does it, and waits until it is done (stopped, started, gone); tells what is waited for. What was
    /// asked is done also when nobody listens to the end.
    pub fn act(&self, ask: TaskAsk) -> Lines<Acting> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (listening, controller) = (sender.clone(), self.clone());
        tokio::spawn(async move {
            let teller = Teller(Some(sender));
            let ended = tokio::select! {
                ended = controller.acted(&ask, &teller) => ended,
                () = listening.closed() => return,
            };
            teller.tell(ended.map_or_else(Acting::Refused, Acting::Done));
        });
        Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|line| (line, receiver))
        }))
    }

    /// The same, in silence.
    pub async fn tasks(&self, ask: TaskAsk) -> Result<Vec<TaskDone>, Refusal> {
        self.acted(&ask, &Teller(None)).await
    }

    /// All targets are resolved before anything is done.
    async fn acted(&self, ask: &TaskAsk, teller: &Teller) -> Result<Vec<TaskDone>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let names = listed_names(&seen);
        let filled = newest(&seen);
        let mut meant = Vec::new();
        for target in &ask.targets {
            let mut tasks = resolve(&seen, target)?;
            tasks.retain(|task| task.goal != Goal::Removed);
            let all = tasks.len();
            tasks.retain(|task| concerns(task, &ask.verb, &filled));
            if tasks.is_empty() && all > 0 {
                return Err(Refusal::conflict(format!("container {target} has a successor")).hint(
                    "the successor has the name without `~`; this one is removed once that has taken over",
                ));
            }
            meant.push((target, tasks));
        }
        for (_, tasks) in &meant {
            tasks.iter().try_for_each(|task| allowed(task, &ask.verb))?;
            for task in tasks {
                let node = seen.node_of(&task.id).unwrap_or(&seen.home);
                reachable(&seen, node, &format!("container {}", names[&task.id]))?;
            }
        }
        let all: BTreeMap<&TaskId, &ObservedTask> = meant
            .iter()
            .flat_map(|(_, tasks)| tasks.iter().map(|task| (&task.id, *task)))
            .collect();
        self.do_all(all.into_values().collect(), ask, teller).await?;
        let done = |(target, tasks): &(&String, Vec<&ObservedTask>)| TaskDone {
            target: (*target).clone(),
            containers: tasks.iter().map(|task| names[&task.id].clone()).collect(),
            verb: ask.verb.clone(),
        };
        Ok(meant.iter().map(done).collect())
    }

    async fn do_all(
        &self,
        tasks: Vec<&ObservedTask>,
        ask: &TaskAsk,
        teller: &Teller,
    ) -> Result<(), Refusal> {
        let Some(verb) = verb_of(ask) else {
            let TaskVerb::Kill { signal } = &ask.verb else { return Ok(()) };
            let signals = tasks.iter().map(|task| self.signal(task, signal));
            return join_all(signals).await.into_iter().collect();
        };
        let mut stacks: BTreeMap<&StackName, Vec<&ObservedTask>> = BTreeMap::new();
        let mut alone = Vec::new();
        for task in tasks {
            match task.place.slot() {
                Some(slot) => stacks.entry(&slot.stack).or_default().push(task),
                None => alone.push(task),
            }
        }
        let stacks = stacks.iter().map(|(stack, tasks)| self.in_stack(stack, tasks, ask, teller));
        let alone = alone.into_iter().map(|task| self.one_off(task, verb, ask, teller));
        let (stacks, alone) = tokio::join!(join_all(stacks), join_all(alone));
        stacks.into_iter().chain(alone).collect::<Result<(), _>>()?;
        if matches!(verb, AskVerb::Start | AskVerb::Restart) {
            self.until_rejoined().await?;
        }
        Ok(())
    }

    /// One-offs that share a network go along, too. Without a daemon nobody else brings them there.
    async fn until_rejoined(&self) -> Result<(), Refusal> {
        let rejoining = self.rejoin_oneoffs().await?;
        let is_on_its_way = |task: &ObservedTask| {
            let phase = matches!(task.phase, Phase::Draining | Phase::Preparing | Phase::Pending);
            rejoining.contains(&task.id) && phase && task.attempts < ATTEMPTS
        };
        let over = |seen: &Nodes| (!seen.all_tasks().any(is_on_its_way)).then_some(());
        let deadline = (!rejoining.is_empty()).then(|| Instant::now() + REJOIN);
        self.fleet().until(deadline, over).await?;
        Ok(())
    }

    /// A decision of the planner: passes that move nothing else, until it has come true.
    async fn in_stack(
        &self,
        stack: &StackName,
        tasks: &[&ObservedTask],
        ask: &TaskAsk,
        teller: &Teller,
    ) -> Result<(), Refusal> {
        let _later = HintOnDrop { controller: self, stack };
        let mut events = self.events();
        let word = |standing: &mut Standing| {
            tasks.iter().for_each(|task| record(standing, task, ask));
        };
        self.records().change_standing(stack, keep_of(ask), word).await?;
        let mut vigil = Vigil::over(tasks, ask, teller);
        vigil.serves = self.serves();
        let asked = Asked { people_only: true, ..Asked::default() };
        loop {
            let passed = self.pass_for_person(stack, &asked).await?;
            if let Some(refused) = passed.refused {
                return Err(refused.into());
            }
            if vigil.look(&passed.nodes, &passed.plan.standing)? {
                return Ok(());
            }
            next_by(&mut events, Instant::now() + LOOK_AGAIN).await;
        }
    }

    /// A task of no stack has nobody who decides about it.
    async fn one_off(
        &self,
        task: &ObservedTask,
        verb: AskVerb,
        ask: &TaskAsk,
        teller: &Teller,
    ) -> Result<(), Refusal> {
        let mut events = self.events();
        let starts = verb == AskVerb::Start;
        if !(starts && task.phase == Phase::Running && task.goal == Goal::Running) {
            let seen = self.fleet().observe(Depth::State).await?;
            self.fleet().assign(&[seen.wish_for(wish_of(task, verb, ask))]).await?;
        }
        let mut vigil = Vigil::over(&[task], ask, teller);
        loop {
            let seen = self.fleet().observe(Depth::State).await?;
            if vigil.look(&seen, &Standing::default())? {
                return Ok(());
            }
            next_by(&mut events, Instant::now() + LOOK_AGAIN).await;
        }
    }

    async fn signal(&self, task: &ObservedTask, signal: &str) -> Result<(), Refusal> {
        let open = Open::Signal { task: task.id.clone(), signal: signal.to_owned() };
        let mut conversation = self.fleet().open(open).await?;
        while let Some(frame) = conversation.receive().await {
            if let keel_engine::frames::Frame::Error(why) = frame {
                return Err(Refusal::conflict(why));
            }
        }
        Ok(())
    }
}

/// What is asked of the planner; `None` for a signal that ends nothing by our doing.
fn verb_of(ask: &TaskAsk) -> Option<AskVerb> {
    Some(match &ask.verb {
        TaskVerb::Start => AskVerb::Start,
        TaskVerb::Stop => AskVerb::Stop,
        TaskVerb::Restart => AskVerb::Restart,
        TaskVerb::Kill { signal } => is_kill(signal).then_some(AskVerb::Kill)?,
        TaskVerb::Remove { volumes, .. } => AskVerb::Remove { volumes: *volumes },
    })
}

/// Puts the word into the stack's memory: what it means for the slot, and what is to be done now.
fn record(standing: &mut Standing, task: &ObservedTask, ask: &TaskAsk) {
    let (Some(verb), Some(slot)) = (verb_of(ask), task.place.slot()) else { return };
    let slot = format!("{}.{}", slot.service, slot.slot);
    let known = standing.asks.contains_key(&task.id);
    match verb {
        // Said again because somebody else drives now: it was heard the first time.
        AskVerb::Restart if ask.again && !known => return,
        AskVerb::Start | AskVerb::Restart => drop(standing.stopped.remove(&slot)),
        AskVerb::Stop | AskVerb::Kill | AskVerb::Remove { .. } => {
            standing.stopped.insert(slot);
        }
    }
    if !(ask.again && known) {
        let said = Ask { grace: grace_of(ask), ..Ask::of(verb) };
        standing.asks.insert(task.id.clone(), said);
    }
}

/// What ends something is done on any disk.
fn keep_of(ask: &TaskAsk) -> Keep {
    match verb_of(ask) {
        Some(AskVerb::Stop | AskVerb::Kill | AskVerb::Remove { .. }) => Keep::ForNow,
        Some(AskVerb::Start | AskVerb::Restart) | None => Keep::OnDisk,
    }
}

fn grace_of(ask: &TaskAsk) -> Option<u64> {
    ask.timeout.map(|seconds| seconds.saturating_mul(1_000))
}

fn wish_of(task: &ObservedTask, verb: AskVerb, ask: &TaskAsk) -> TaskAssignment {
    let goal = match verb {
        AskVerb::Start | AskVerb::Restart => Goal::Running,
        AskVerb::Stop | AskVerb::Kill => Goal::Stopped,
        AskVerb::Remove { .. } => Goal::Removed,
    };
    let lives = matches!(task.phase, Phase::Running | Phase::Backoff);
    TaskAssignment {
        anew: verb == AskVerb::Restart && lives && task.goal == Goal::Running,
        grace: grace_of(ask),
        force: matches!(verb, AskVerb::Kill | AskVerb::Remove { .. })
            || (verb == AskVerb::Stop && ask.timeout == Some(0)),
        remove_volumes: verb == AskVerb::Remove { volumes: true },
        ..next_of(task, goal)
    }
}

/// A slot's earlier task stays for a while, stopped where both cannot run: to come back to, not to
/// be started beside its successor.
fn concerns(task: &ObservedTask, verb: &TaskVerb, filled: &BTreeMap<&Slot, &ObservedTask>) -> bool {
    let successor = task.place.slot().is_some_and(|slot| filled[slot].id != task.id);
    match verb {
        TaskVerb::Start | TaskVerb::Restart => !successor,
        TaskVerb::Stop | TaskVerb::Kill { .. } => !successor || task.pid.is_some(),
        TaskVerb::Remove { .. } => true,
    }
}

fn allowed(task: &ObservedTask, verb: &TaskVerb) -> Result<(), Refusal> {
    let name = &task.spec.container_name;
    let runs = matches!(task.phase, Phase::Running | Phase::Draining);
    match verb {
        TaskVerb::Remove { force: false, .. } if runs || task.phase == Phase::Backoff => {
            Err(Refusal::conflict(format!("container {name} is running"))
                .hint(format!("stop it first with `keel stop {name}`, or `keel rm -f {name}`")))
        }
        TaskVerb::Kill { .. } if !runs => {
            Err(Refusal::conflict(format!("container {name} is not running")))
        }
        _ => Ok(()),
    }
}

fn is_kill(signal: &str) -> bool {
    let word = signal.to_ascii_uppercase();
    matches!(word.strip_prefix("SIG").unwrap_or(&word), "KILL" | "9" | "")
}
