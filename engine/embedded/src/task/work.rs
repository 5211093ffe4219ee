//! The steps that bring a task to its goal. Which one is next, [`crate::task::step`] decides.

use crate::desk::Desk;
use crate::network::Namespace;
use crate::resolver::keeper::NameKeeper;
use crate::root::record::{Activity, Process, ShimState, Stage};
use crate::session::waiting::Waiting;
use crate::shim::{Launch, Network};
use crate::task::async_records;
use crate::task::prepare::{Prepared, prepare};
use crate::task::processes::{end_processes, nudge, signal_shim};
use crate::task::queue::Driver;
use crate::task::records::{self, Records};
use crate::task::step::{Alive, Step};
use crate::task::step_error::{self, StepError, cannot};
use crate::task::{namespaces, removal, update};
use crate::{blocking, clock, network, resolver};
use keel_engine::{ExitCause, FailureKind, Goal, NetworkMode, TaskAssignment, TaskId};
use std::sync::Arc;
use std::time::Duration;

/// How long names may take to work in a new namespace before its task starts without.
const NAMES: Duration = Duration::from_secs(5);

/// What every driver does its steps with.
pub(crate) struct Steps {
    pub(crate) desk: Arc<Desk>,
    /// Looks after `keel net` once a task needs it.
    pub(crate) names: Arc<NameKeeper>,
    /// Who wants to see a run from its beginning.
    pub(crate) waiting: Arc<Waiting>,
}

impl Steps {
    /// Does one step.
    pub(crate) async fn step(
        &self,
        step: Step,
        records: Records,
        alive: Alive,
        driver: &Driver,
    ) -> step_error::Stepped<()> {
        match step {
            Step::Rest => Ok(()),
            Step::Prepare => prepare(&self.desk, records, driver).await.map(drop),
            Step::Launch => self.launch(records, alive, driver).await,
            Step::Update => update::update(&self.desk, records).await,
            Step::Adopt => self.adopt(&records).await,
            Step::Stop => {
                nudge(records.state.as_ref());
                Ok(())
            }
            Step::Lost(cause) => self.lost(records, cause).await,
            Step::Stopped => self.stopped(records).await,
            Step::Follow => self.follow(records).await,
            Step::Remove => removal::remove(&self.desk, records).await,
        }
    }

    async fn launch(
        &self,
        records: Records,
        alive: Alive,
        driver: &Driver,
    ) -> step_error::Stepped<()> {
        let Prepared { wish, mut work } = if is_prepared(&records, driver) {
            Prepared { wish: records.wish, work: records.work }
        } else {
            prepare(&self.desk, records, driver).await?
        };
        let id = wish.id.clone();
        let namespace = self.namespace(&wish).await?;
        if !alive.shim {
            self.start_shim(&id, namespace.clone(), false).await?;
        }
        let shim = self.shim_of(&id).await?;
        work.shim = Some(shim.clone());
        async_records::note_work(&self.desk.layout, &id, work.clone()).await?;
        if namespace == Network::New {
            self.plumb(&id, &work.endpoints, &shim).await?;
            if !work.endpoints.is_empty() {
                self.names.keep();
            }
        }
        self.waiting.attached(&id).await;
        (work.stage, work.generation, work.run) =
            (Stage::Launched, wish.generation, wish.generation);
        (work.attempts, work.message) = (0, None);
        async_records::store_work(&self.desk.layout, &id, work).await?;
        signal_shim(&shim);
        Ok(())
    }

    /// Which network namespace the shim is started in.
    async fn namespace(&self, wish: &TaskAssignment) -> step_error::Stepped<Network> {
        let mode = &wish.spec.network_mode;
        match network::namespace(mode) {
            Some(Namespace::Host) => return Ok(Network::Host),
            Some(Namespace::Own) => return Ok(Network::New),
            None => {}
        }
        match (mode, &wish.joins) {
            (NetworkMode::Service(name) | NetworkMode::Container(name), None) => {
                match self.named(name).await? {
                    Some(other) => self.namespace_of(&other).await,
                    None => Err(waits_for(name.clone(), false)),
                }
            }
            (_, Some(other)) => self.namespace_of(other).await,
            (NetworkMode::Networks | NetworkMode::Host | NetworkMode::None, None) => {
                Ok(Network::New)
            }
        }
    }

    async fn namespace_of(&self, other: &TaskId) -> step_error::Stepped<Network> {
        let records = async_records::load(&self.desk.layout, other).await?;
        let name = records.as_ref().map_or_else(
            || format!("task {}, which is gone", other.short()),
            |records| records.wish.spec.container_name.clone(),
        );
        let state = records.and_then(|records| records.state);
        match state.and_then(|state| state.shim).filter(Process::lives) {
            Some(shim) => Ok(Network::Join(namespaces::path(&shim))),
            None => Err(waits_for(name, true)),
        }
    }

    /// The task with this container name or id.
    async fn named(&self, name: &str) -> step_error::Stepped<Option<TaskId>> {
        let (view, name) = (Arc::clone(&self.desk.view), name.to_owned());
        let all = blocking::run(move || view.records()).await?;
        Ok(namespaces::named(&all, &name).map(|records| records.wish.id.clone()))
    }

    async fn start_shim(
        &self,
        id: &TaskId,
        network: Network,
        adopt: bool,
    ) -> step_error::Stepped<()> {
        let (dir, root) = (self.desk.layout.task(id).0, self.desk.layout.root().to_owned());
        let mut command =
            Launch { dir, root, network, adopt }.command(&self.desk.options.executable);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let output = blocking::run(move || command.output()).await;
        let output = output.map_err(cannot("start the shim"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(StepError::retry(format!("the shim did not start ({}): {said}", output.status)))
    }

    async fn shim_of(&self, id: &TaskId) -> step_error::Stepped<Process> {
        let state =
            async_records::load(&self.desk.layout, id).await?.and_then(|records| records.state);
        let shim = state.and_then(|state| state.shim).filter(Process::lives);
        shim.ok_or_else(|| StepError::retry("the shim ended at once"))
    }

    /// Links, addresses and names, before the process can ask for any.
    async fn plumb(
        &self,
        id: &TaskId,
        endpoints: &[crate::root::record::Endpoint],
        shim: &Process,
    ) -> step_error::Stepped<()> {
        let (layout, id, endpoints) = (self.desk.layout.clone(), id.clone(), endpoints.to_vec());
        let (program, netns) = (self.desk.options.executable.clone(), namespaces::path(shim));
        blocking::run(move || {
            if !endpoints.is_empty() {
                resolver::ensure(&layout, &program).map_err(cannot("start `keel net`"))?;
            }
            network::connect(&endpoints, &netns).map_err(StepError::of_network)?;
            if !endpoints.is_empty() {
                resolver::wait(&layout, &id, NAMES).map_err(cannot("wait for names"))?;
            }
            Ok(())
        })
        .await
    }

    /// A shim for a process whose own has died.
    async fn adopt(&self, records: &Records) -> step_error::Stepped<()> {
        let process = records.state.as_ref().and_then(|state| state.process.as_ref());
        let own = network::namespace(&records.wish.spec.network_mode);
        let network = match (own, process) {
            (Some(Namespace::Host), _) => Network::Host,
            (_, Some(process)) => Network::Join(namespaces::path(process)),
            (_, None) => return Ok(()),
        };
        let adopted = self.start_shim(&records.wish.id, network, true).await;
        if adopted.is_err() && records.wish.goal >= Goal::Stopped {
            // On a disk that takes nothing no shim begins, and without one nobody gives it a grace period.
            return end_processes(&self.desk.layout, &records.wish.id).await;
        }
        adopted?;
        let mut work = records.work.clone();
        work.shim = Some(self.shim_of(&records.wish.id).await?);
        Ok(async_records::store_work(&self.desk.layout, &records.wish.id, work).await?)
    }

    /// No shim lives, so its record is ours to close.
    async fn lost(&self, records: Records, cause: ExitCause) -> step_error::Stepped<()> {
        let dir = self.desk.layout.task(&records.wish.id);
        let state = ShimState {
            activity: Activity::Exited,
            finished: Some(clock::now()),
            exit_code: None,
            exit_cause: Some(cause),
            shim: None,
            process: None,
            next: None,
            ..records.state.unwrap_or_default()
        };
        end_processes(&self.desk.layout, &records.wish.id).await?;
        Ok(blocking::run(move || records::store_state(&dir, &state)).await?)
    }

    async fn stopped(&self, records: Records) -> step_error::Stepped<()> {
        let id = records.wish.id;
        end_processes(&self.desk.layout, &id).await?;
        let mut work = records.work;
        (work.generation, work.shim) = (records.wish.generation, None);
        (work.attempts, work.message) = (0, None);
        Ok(async_records::store_work(&self.desk.layout, &id, work).await?)
    }

    async fn follow(&self, records: Records) -> step_error::Stepped<()> {
        let _taking = self.desk.taking.lock().await;
        // Looked at again: a newer wish may have taken its place.
        let Some(records) = async_records::load(&self.desk.layout, &records.wish.id).await? else {
            return Ok(());
        };
        let Some(following) = records.following else { return Ok(()) };
        let layout = self.desk.layout.clone();
        Ok(blocking::run(move || records::follow(&layout, &following)).await?)
    }
}

fn waits_for(name: String, is_there: bool) -> StepError {
    StepError::waits(FailureKind::NoContainer { name, is_there })
}

/// Whether this very driver made all ready for this very wish, and nothing of another task's.
fn is_prepared(records: &Records, driver: &Driver) -> bool {
    let Records { wish, work, .. } = records;
    work.stage == Stage::Ready
        && work.generation == wish.generation
        && !matches!(wish.spec.network_mode, NetworkMode::Service(_) | NetworkMode::Container(_))
        && driver.takes_prepared(wish.generation)
}
