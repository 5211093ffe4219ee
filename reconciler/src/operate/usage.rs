//! `system df`, `system prune`, `image prune`.

use crate::ask::{Refusal, TaskAsk, TaskVerb};
use crate::controller::Controller;
use crate::rows::{PruneAsk, PrunedRow, RemoveAsk, UsageRow};
use crate::sweeper::RoomError;
use keel_engine::{Depth, Observation, Phase, Place};
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
        let row = |kind: &str, total: usize, active: usize, size, reclaimable| UsageRow {
            kind: kind.to_owned(),
            total: total as u64,
            active: active as u64,
            size,
            reclaimable,
        };
        let names: BTreeSet<_> = seen.all_images().filter_map(|i| i.digest.as_ref()).collect();
        let used: BTreeSet<_> = seen.all_tasks().filter_map(|task| task.digest.as_ref()).collect();
        let runs = |task: &&keel_engine::ObservedTask| task.phase == Phase::Running;
        let ended = ended_oneoffs(&seen).map(|task| usage.tasks.get(&task.id).copied());
        let idle = seen.volumes.iter().filter(|volume| volume.tasks.is_empty());
        let idle = idle.map(|volume| usage.volumes.get(&volume.spec.name).copied());
        let mounted = seen.volumes.iter().filter(|volume| !volume.tasks.is_empty()).count();
        Ok(vec![
            row("Images", names.len(), names.intersection(&used).count(), usage.images, spare),
            row(
                "Containers",
                seen.tasks.len(),
                seen.all_tasks().filter(runs).count(),
                usage.tasks.values().sum(),
                ended.flatten().sum(),
            ),
            row(
                "Local Volumes",
                seen.volumes.len(),
                mounted,
                usage.volumes.values().sum(),
                idle.flatten().sum(),
            ),
            UsageRow { size: revisions.size + usage.contents, ..revisions },
        ])
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
        let targets: Vec<_> = ended_oneoffs(&seen).map(|task| task.id.to_string()).collect();
        if targets.is_empty() {
            return Ok(targets);
        }
        let verb = TaskVerb::Remove { force: false, volumes: false };
        self.tasks(TaskAsk { targets: targets.clone(), verb, timeout: None, again: false }).await?;
        Ok(targets)
    }

    async fn prune_networks(&self) -> Result<Vec<String>, Refusal> {
        let wanted = self.revisions().await?;
        let wanted: BTreeSet<_> =
            wanted.iter().flat_map(|(desired, _)| desired.networks.keys()).collect();
        let seen = self.fleet().observe(Depth::State).await?;
        let idle = seen.networks.iter().filter(|network| {
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
        let idle = seen.volumes.iter().filter(|volume| volume.anonymous && volume.tasks.is_empty());
        let names = idle.map(|volume| volume.spec.name.clone()).collect();
        self.remove_volumes(RemoveAsk { names, force: true }).await
    }
}

fn ended_oneoffs(seen: &Observation) -> impl Iterator<Item = &keel_engine::ObservedTask> {
    seen.all_tasks().filter(|task| {
        matches!(task.place, Place::OneOff(_))
            && matches!(task.phase, Phase::Exited | Phase::Rejected)
    })
}
