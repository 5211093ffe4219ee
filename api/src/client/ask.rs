//! One method for each route.

use super::{Client, ClientError, Lines, Result, request};
use crate::paths;
use crate::pool::{AuthorityRow, NodeAsk, NodeChanged, NodeRow, TokenAnswer, TokenAsk, TokenRow};
use crate::shapes::{
    Hint, Info, InspectAsk, MaybeStack, Name, Stacks, StartAsk, TaskRef, Until, WaitAsk,
};
use futures_util::StreamExt;
use hyper::Method;
use keel_engine::{StackName, TaskId};
use keel_plan::desired::Desired;
use keel_reconciler::ask::{
    Acting, ContainerRow, ConvergeAsk, DownAsk, DriftReport, PlanReport, PlanTarget, Progress,
    RunAnswer, RunAsk, SourceRow, StatusRow, TaskAsk,
};
use keel_reconciler::preview::{PreviewAnswer, PreviewAsk, ServedSource};
use keel_reconciler::rows::{
    DeliveryRow, HistoryRow, ImageRow, InspectKind, MoveRow, NetworkAsk, NetworkRow, PruneAsk,
    PrunedRow, PsAsk, PullAsk, RebalanceAsk, RemoveAsk, RepoAnswer, RepoAsk, RollbackAsk, ScaleAsk,
    SuspendAsk, SyncAsk, TaskDone, UsageRow, VolumeAsk, VolumeRow,
};
use serde::Serialize;

impl Client {
    /// Who answers.
    pub async fn info(&self) -> Result<Info> {
        self.get(paths::INFO).await
    }

    /// Every node of the pool.
    pub async fn nodes(&self) -> Result<Vec<NodeRow>> {
        self.get(paths::NODES).await
    }

    /// Changes a node.
    pub async fn change_node(&self, ask: &NodeAsk) -> Result<NodeChanged> {
        self.ask(paths::NODE_CHANGE, ask).await
    }

    /// Every token that is on record.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.get(paths::TOKENS).await
    }

    /// Makes a token to join the pool with.
    pub async fn create_token(&self, ask: &TokenAsk) -> Result<TokenAnswer> {
        self.ask(paths::TOKEN_CREATE, ask).await
    }

    /// Ends a token.
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        self.ask(paths::TOKEN_RM, &Name { name: id.to_owned() }).await
    }

    /// The pool's certificate authority.
    pub async fn authority(&self) -> Result<AuthorityRow> {
        self.get(paths::AUTHORITY).await
    }

    /// Replaces the pool's certificate authority.
    pub async fn rotate_authority(&self) -> Result<AuthorityRow> {
        self.ask(paths::AUTHORITY_ROTATE, &()).await
    }

    /// Hints that something changed, from now on.
    pub async fn events(&self) -> Result<Lines<Hint>> {
        self.lines(request::<()>(Method::GET, paths::EVENTS, None)?).await
    }

    /// Everything about one thing.
    pub async fn inspect(
        &self,
        target: &str,
        kind: Option<InspectKind>,
    ) -> Result<serde_json::Value> {
        self.ask(paths::INSPECT, &InspectAsk { target: target.to_owned(), kind }).await
    }

    /// Sync, health and operation.
    pub async fn status(&self, stacks: Vec<StackName>) -> Result<Vec<StatusRow>> {
        self.ask(paths::STATUS, &Stacks { stacks }).await
    }

    /// What happened.
    pub async fn history(&self, stacks: Vec<StackName>) -> Result<Vec<HistoryRow>> {
        self.ask(paths::HISTORY, &Stacks { stacks }).await
    }

    /// What a pass would do now. No targets: every stack that is known.
    pub async fn plan(&self, targets: &[PlanTarget]) -> Result<PlanReport> {
        self.ask(paths::PLAN, &targets).await
    }

    /// The sources that a push can be previewed for.
    pub async fn served_sources(&self) -> Result<Vec<ServedSource>> {
        self.get(paths::PREVIEW_SOURCES).await
    }

    /// What a push would do.
    pub async fn preview(&self, ask: &PreviewAsk) -> Result<PreviewAnswer> {
        self.ask(paths::PREVIEW, ask).await
    }

    /// What a stack shall be, as stored last.
    pub async fn desired(&self, stack: &StackName) -> Result<Option<Desired>> {
        self.ask(paths::DESIRED, stack).await
    }

    /// `up`, `apply`.
    pub async fn converge(&self, ask: &ConvergeAsk) -> Result<Lines<Progress>> {
        self.progress(paths::CONVERGE, ask).await
    }

    /// `down`.
    pub async fn down(&self, ask: &DownAsk) -> Result<Lines<Progress>> {
        self.progress(paths::DOWN, ask).await
    }

    /// What differs from what was applied.
    pub async fn drift(&self, stack: Option<StackName>) -> Result<DriftReport> {
        self.ask(paths::DRIFT, &MaybeStack { stack }).await
    }

    /// Back to a revision that was good.
    pub async fn rollback(&self, ask: &RollbackAsk) -> Result<Lines<Progress>> {
        self.progress(paths::ROLLBACK, ask).await
    }

    /// Tasks leave fuller nodes for emptier ones.
    pub async fn rebalance(&self, ask: &RebalanceAsk) -> Result<Lines<Progress>> {
        self.progress(paths::REBALANCE, ask).await
    }

    /// What would move by that, of these stacks or of all.
    pub async fn moves(&self, stacks: Vec<StackName>) -> Result<Vec<MoveRow>> {
        self.ask(paths::MOVES, &Stacks { stacks }).await
    }

    /// Another number of tasks than the source says.
    pub async fn scale(&self, ask: &ScaleAsk) -> Result<Lines<Progress>> {
        self.progress(paths::SCALE, ask).await
    }

    /// Holds a stack off.
    pub async fn suspend(&self, ask: &SuspendAsk) -> Result<()> {
        self.ask(paths::SUSPEND, ask).await
    }

    /// Ends that.
    pub async fn resume(&self, stack: &StackName) -> Result<()> {
        self.ask(paths::RESUME, stack).await
    }

    /// The sources' state.
    pub async fn sources(&self) -> Result<Vec<SourceRow>> {
        self.get(paths::SOURCES).await
    }

    /// Receivers and forges that are not reached.
    pub async fn deliveries(&self) -> Result<Vec<DeliveryRow>> {
        self.get(paths::DELIVERIES).await
    }

    /// Reads sources anew, then converges.
    pub async fn sync(&self, ask: &SyncAsk) -> Result<Lines<Progress>> {
        self.progress(paths::SYNC, ask).await
    }

    /// Makes a repository that can be pushed to.
    pub async fn create_repo(&self, ask: &RepoAsk) -> Result<RepoAnswer> {
        self.ask(paths::SOURCE_CREATE, ask).await
    }

    /// Lets a held revision through.
    pub async fn confirm(&self, source: &str) -> Result<()> {
        self.ask(paths::CONFIRM, &Name { name: source.to_owned() }).await
    }

    /// Containers.
    pub async fn ps(&self, ask: &PsAsk) -> Result<Vec<ContainerRow>> {
        self.ask(paths::PS, ask).await
    }

    /// What a target means: at least one task.
    pub async fn resolve(&self, target: &str) -> Result<Vec<TaskRef>> {
        self.ask(paths::RESOLVE, &Name { name: target.to_owned() }).await
    }

    /// `start`, `stop`, `restart`, `kill`, `rm`.
    pub async fn act(&self, ask: &TaskAsk) -> Result<Vec<TaskDone>> {
        self.acting(ask, |_, _| {}).await
    }

    /// The same; told each container that waits, and what for.
    pub async fn acting(&self, ask: &TaskAsk, waits: impl Fn(&str, &str)) -> Result<Vec<TaskDone>> {
        let mut lines = self.lines(request(Method::POST, paths::ACT, Some(ask))?).await?;
        while let Some(line) = lines.next().await {
            match line? {
                Acting::Waits { container, why } => waits(&container, &why),
                Acting::Done(done) => return Ok(done),
                Acting::Refused(refusal) => return Err(ClientError::Refused(refusal)),
            }
        }
        Err(ClientError::Broken("the answer ended before its last line".into()))
    }

    /// Waits for a task, as long as it takes.
    pub async fn wait(&self, task: &TaskId, until: Until) -> Result<TaskRef> {
        self.ask(paths::WAIT, &WaitAsk { task: task.clone(), until, once: false }).await
    }

    /// Waits for a task until it is there, or one attempt at it failed.
    pub async fn wait_once(&self, task: &TaskId, until: Until) -> Result<TaskRef> {
        self.ask(paths::WAIT, &WaitAsk { task: task.clone(), until, once: true }).await
    }

    /// Makes a one-off.
    pub async fn run(&self, ask: &RunAsk) -> Result<RunAnswer> {
        self.ask(paths::RUN, ask).await
    }

    /// Starts what [`Client::run`] left ready.
    pub async fn start(&self, task: &TaskId) -> Result<()> {
        self.ask(paths::RUN_START, &StartAsk { task: task.clone() }).await
    }

    /// Images.
    pub async fn images(&self) -> Result<Vec<ImageRow>> {
        self.get(paths::IMAGES).await
    }

    /// Brings images.
    pub async fn pull(&self, ask: &PullAsk) -> Result<Lines<Progress>> {
        self.progress(paths::PULL, ask).await
    }

    /// Removes images; gives what is gone.
    pub async fn remove_images(&self, ask: &RemoveAsk) -> Result<Vec<String>> {
        self.ask(paths::RMI, ask).await
    }

    /// Volumes.
    pub async fn volumes(&self) -> Result<Vec<VolumeRow>> {
        self.get(paths::VOLUMES).await
    }

    /// Makes a volume; gives its name.
    pub async fn create_volume(&self, ask: &VolumeAsk) -> Result<String> {
        self.ask(paths::VOLUME_CREATE, ask).await
    }

    /// Removes volumes; gives what is gone.
    pub async fn remove_volumes(&self, ask: &RemoveAsk) -> Result<Vec<String>> {
        self.ask(paths::VOLUME_RM, ask).await
    }

    /// Networks.
    pub async fn networks(&self) -> Result<Vec<NetworkRow>> {
        self.get(paths::NETWORKS).await
    }

    /// Makes a network; gives its id.
    pub async fn create_network(&self, ask: &NetworkAsk) -> Result<String> {
        self.ask(paths::NETWORK_CREATE, ask).await
    }

    /// Removes networks; gives what is gone.
    pub async fn remove_networks(&self, ask: &RemoveAsk) -> Result<Vec<String>> {
        self.ask(paths::NETWORK_RM, ask).await
    }

    /// What takes up how much room.
    pub async fn disk_usage(&self) -> Result<Vec<UsageRow>> {
        self.get(paths::USAGE).await
    }

    /// Takes away what nothing needs.
    pub async fn prune(&self, ask: &PruneAsk) -> Result<PrunedRow> {
        self.ask(paths::PRUNE, ask).await
    }

    async fn progress(&self, path: &str, ask: &impl Serialize) -> Result<Lines<Progress>> {
        self.lines(request(Method::POST, path, Some(ask))?).await
    }
}
