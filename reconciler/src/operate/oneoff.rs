//! `run`: a task outside of every stack, never planned or pruned.

use crate::ask::{Refusal, RunAnswer, RunAsk};
use crate::controller::Controller;
use keel_engine::{
    Assignment, Attachment, Depth, EngineError, Goal, NetworkMode, NetworkSpec, Nodes,
    ObservedTask, Phase, Place, Presence, RestartPolicy, TaskAssignment, TaskId, TaskSpec,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// docker's name for the network of containers that name none.
const BRIDGE: &str = "bridge";

impl Controller {
    /// Makes a one-off. It runs at once, or with [`RunAsk::attach`] stays ready until
    /// [`start_oneoff`](Self::start_oneoff). Returns when the wish is on disk.
    pub async fn run(&self, ask: RunAsk) -> Result<RunAnswer, Refusal> {
        let RunAsk { name, mut spec, auto_remove, attach, contents } = ask;
        if spec.network_mode == NetworkMode::Networks && spec.networks.is_empty() {
            spec.networks.push(Attachment { network: BRIDGE.to_owned(), ..Attachment::default() });
        }
        let seen = self.fleet().observe(Depth::State).await?;
        let id = fresh_id(&seen, &name, self.now());
        let name = if name.is_empty() { format!("run-{}", &id.as_str()[..8]) } else { name };
        if let Some(other) = seen.all_tasks().find(|task| task.spec.container_name == name) {
            let words = format!("the name {name} is taken by container {}", other.id);
            return Err(Refusal::conflict(words)
                .hint(format!("remove it with `keel rm {name}`, or choose another `--name`")));
        }
        self.hand_over(contents).await?;
        spec.container_name.clone_from(&name);
        let wish = TaskAssignment {
            id: id.clone(),
            place: Place::OneOff(name.clone()),
            generation: 1,
            spec: Arc::new(spec),
            digest: None,
            joins: None,
            replaces: None,
            revision: String::new(),
            origins: serde_json::Value::Null,
            avoids: Vec::new(),
            goal: if attach { Goal::Ready } else { Goal::Running },
            auto_remove,
            remove_volumes: false,
            force: false,
            anew: false,
            grace: None,
        };
        let network = default_network(&wish.spec);
        let task = Assignment::Task(Box::new(wish));
        // Said again after the task: the one before may have left, and the network with it.
        let wishes = network.iter().cloned().chain([task]).chain(network.clone());
        let wishes: Vec<_> = wishes.map(|what| seen.wish_at_home(what)).collect();
        self.fleet().assign(&wishes).await?;
        Ok(RunAnswer { id, name })
    }

    /// One-offs that were left alone in a network namespace, while the container that they share it with
    /// has another one by now, begin anew in that one. Not those that are run once: whoever ran them
    /// decides whether they may be run twice. Gives those.
    pub(crate) async fn rejoin_oneoffs(&self) -> Result<BTreeSet<TaskId>, EngineError> {
        let seen = self.fleet().observe(Depth::State).await?;
        let is_alone = |task: &&ObservedTask| {
            let again = task.spec.restart != RestartPolicy::No;
            task.place.slot().is_none() && task.apart && again && task.phase == Phase::Running
        };
        let alone: Vec<_> = seen.all_tasks().filter(is_alone).collect();
        let anew =
            |task: &ObservedTask| TaskAssignment { anew: true, ..next_of(task, Goal::Running) };
        let wish = |task: &&ObservedTask| seen.wish_for(anew(task));
        self.fleet().assign(&alone.iter().map(wish).collect::<Vec<_>>()).await?;
        Ok(alone.into_iter().map(|task| task.id.clone()).collect())
    }

    /// Starts a one-off that was made with [`RunAsk::attach`], once somebody is attached.
    pub async fn start_oneoff(&self, id: &TaskId) -> Result<(), Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let Some(task) = seen.task(id) else {
            return Err(Refusal::not_found(format!("no such container: {id}")));
        };
        // The same decision goes on: from ready to running.
        let wish = TaskAssignment::again(task, Goal::Running, task.generation);
        Ok(self.fleet().assign(&[seen.wish_for(wish)]).await?)
    }
}

/// The same task for the next decision about it: it counts for itself.
pub(super) fn next_of(task: &ObservedTask, goal: Goal) -> TaskAssignment {
    TaskAssignment::again(task, goal, task.generation + 1)
}

/// The network of one-offs that name none goes with the last of them.
fn default_network(spec: &TaskSpec) -> Option<Assignment> {
    let named = spec.networks.iter().any(|attachment| attachment.network == BRIDGE);
    let (name, driver) = (BRIDGE.to_owned(), "bridge".to_owned());
    let spec = NetworkSpec { name, driver, auto_remove: true, ..NetworkSpec::default() };
    named.then_some(Assignment::Network { spec, wanted: Presence::Present })
}

/// An id that no task has: of the name, the time, and how often that was taken already.
fn fresh_id(seen: &Nodes, name: &str, now: u64) -> TaskId {
    let taken = |id: &TaskId| seen.all_tasks().any(|task| task.id == *id);
    let process = std::process::id();
    (0_u64..)
        .map(|turn| TaskId::from_seed(&format!("run {name} {now} {process} {turn}")))
        .find(|id| !taken(id))
        .expect("a node has fewer tasks than there are numbers")
}
