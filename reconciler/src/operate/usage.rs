//! `system df`, `system prune`, `image prune`.

use crate::ask::{Refusal, TaskAsk, TaskVerb};
use crate::controller::Controller;
use crate::rows::{PruneAsk, PrunedRow, RemoveAsk, UsageRow};
use crate::sweeper::RoomError;
use keel_engine::{Depth, Nodes, Observation, ObservedTask, Phase, Place, Usage};
use keel_plan::retention::Reach;
use std::collections::BTreeSet;

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Engine(error) => error.into(),
            error => Self::failed(&error),
        }
    }
}

impl Controller {
    /// What takes up how much room, and how much of that `prune` can give back.
    pub async fn disk_usage(&self) -> Result<Vec<UsageRow>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let usage = self.fleet().usage().await?;
        let (spare, revisions) = self.spare().await?;
        let known =
            seen.all_known().filter_map(|(node, seen)| Some((node, seen, usage.get(node)?)));
        let rows = known.flat_map(|(node, seen, usage)| {
            let spare = spare.get(node).copied().unwrap_or_default();
            usage_of(seen, usage, spare)
        });
        let contents: u64 = usage.values().map(|usage| usage.contents).sum();
        let node = self.fleet().home().to_string();
        let revisions = UsageRow { size: revisions.size + contents, node, ..revisions };
        Ok(rows.chain([revisions]).collect())
    }

    /// Takes away what nothing needs, at once.
    pub async fn prune(&self, ask: PruneAsk) -> Result<PrunedRow, Refusal> {
        let mut pruned = PrunedRow::default();
        if !ask.images_only {
            pruned.containers = self.prune_containers().await?;
            pruned.networks = self.prune_networks().await?;
        }
        if ask.volumes {
            pruned.volumes = self.prune_volumes().await?;
        }
        let reach = if ask.all { Reach::All } else { Reach::Unneeded };
        let (cleared, waits) = self.clear(reach).await?;
        pruned.waits = waits;
        pruned.cleared = cleared;
        Ok(pruned)
    }

    /// What `run` left behind. A stack's own stay: they are what its slots have.
    async fn prune_containers(&self) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let ended = reached(&seen).flat_map(Observation::all_tasks).filter(|t| is_ended_oneoff(t));
        let targets: Vec<_> = ended.map(|task| task.id.to_string()).collect();
        if targets.is_empty() {
            return Ok(targets);
        }
        let verb = TaskVerb::Remove { force: false, volumes: false };
        self.tasks(TaskAsk { targets: targets.clone(), verb, timeout: None, again: false }).await?;
        Ok(targets)
    }

    async fn prune_networks(&self) -> Result<Vec<String>, Refusal> {
        let wanted = self.revisions().await?;
        let wanted: BTreeSet<_> = wanted
            .iter()
            .flat_map(|kept| kept.all())
            .flat_map(|kept| kept.desired.networks.keys())
            .collect();
        let seen = self.fleet().observe(Depth::State).await?;
        let all = reached(&seen).flat_map(|seen| &seen.networks);
        let idle = all.filter(|network| {
            network.tasks.is_empty()
                && !network.spec.auto_remove
                && !wanted.contains(&network.spec.name)
        });
        let names = idle.map(|network| network.spec.name.clone()).collect();
        self.remove_networks(RemoveAsk { names, force: true }).await
    }

    /// Those without a name that no container has any more.
    async fn prune_volumes(&self) -> Result<Vec<String>, Refusal> {
        let seen = self.fleet().observe(Depth::State).await?;
        let all = reached(&seen).flat_map(|seen| &seen.volumes);
        let idle = all.filter(|volume| volume.anonymous && volume.tasks.is_empty());
        let names = idle.map(|volume| volume.spec.name.clone()).collect();
        self.remove_volumes(RemoveAsk { names, force: true }).await
    }
}

/// The nodes that something can be taken away from now.
fn reached(seen: &Nodes) -> impl Iterator<Item = &Observation> {
    seen.all_known().map(|(_, seen)| seen)
}

/// What takes up room on one node.
fn usage_of(seen: &Observation, usage: &Usage, spare: u64) -> [UsageRow; 3] {
    let row = |kind: &str, total: usize, active: usize, size, reclaimable| UsageRow {
        kind: kind.to_owned(),
        total: total as u64,
        active: active as u64,
        size,
        reclaimable,
        node: seen.node.to_string(),
    };
    let names: BTreeSet<_> = seen.all_images().filter_map(|i| i.digest.as_ref()).collect();
    let used: BTreeSet<_> = seen.all_tasks().filter_map(|task| task.digest.as_ref()).collect();
    let running = seen.all_tasks().filter(|task| task.phase == Phase::Running).count();
    let ended = seen.all_tasks().filter(|task| is_ended_oneoff(task));
    let ended = ended.filter_map(|task| usage.tasks.get(&task.id)).sum();
    let (mounted, idle): (Vec<_>, Vec<_>) =
        seen.volumes.iter().partition(|volume| !volume.tasks.is_empty());
    let idle = idle.iter().filter_map(|volume| usage.volumes.get(&volume.spec.name)).sum();
    let (tasks, volumes) = (usage.tasks.values().sum(), usage.volumes.values().sum());
    [
        row("Images", names.len(), names.intersection(&used).count(), usage.images, spare),
        row("Containers", seen.tasks.len(), running, tasks, ended),
        row("Local Volumes", seen.volumes.len(), mounted.len(), volumes, idle),
    ]
}

fn is_ended_oneoff(task: &ObservedTask) -> bool {
    matches!(task.place, Place::OneOff(_)) && matches!(task.phase, Phase::Exited | Phase::Rejected)
}
