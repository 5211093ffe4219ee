//! Applies a wish to a task that runs: what changes in place, and whatever of its surroundings is
//! not as applied. Its process goes on.

mod restore;

use crate::desk::Desk;
use crate::root::record::{Activity, Endpoint, Process, Work};
use crate::runtime::cgroup::Cgroup;
use crate::runtime::spawn::specification;
use crate::task::async_records;
use crate::task::processes::{cgroup, nudge};
use crate::task::records::Records;
use crate::task::step_error::{StepError, Stepped, cannot};
use crate::{
    TaskDir, blocking, network,
    network::stored,
    resolver,
    root::record,
    runtime,
    task::{mount_sources, namespaces, prepare},
    view::read,
};
use keel_engine::{Failure, FailureKind, TaskAssignment, TaskSpec, limits_of};
use keel_images::Image;
use std::sync::Arc;

/// Applies again, to the running task, all that can be applied to one.
pub(crate) async fn update(desk: &Desk, records: Records) -> Stepped<()> {
    let lost = lost_volumes(desk, &records).await?;
    let Records { wish, mut work, state, .. } = records;
    let (cgroup, spec) = (cgroup(&desk.layout, &wish.id)?, wish.spec.clone());
    let dir = desk.layout.task(&wish.id);
    blocking::run(move || {
        limits_of_next_run(&dir, &spec)?;
        limits(&cgroup, &spec)
    })
    .await?;
    let process = state.as_ref().and_then(|state| state.process.clone());
    let process = process.filter(Process::lives);
    if !wish.spec.networks.is_empty() {
        repair_networks(desk, wish.spec.clone(), work.endpoints.clone(), process.clone()).await?;
    }
    if let Some(process) = process {
        let (layout, wish) = (desk.layout.clone(), wish.clone());
        blocking::run(move || restore::restore(&layout, &wish, &process)).await?;
    }
    work.message = None;
    let digest = work.digest;
    let image = match digest {
        Some(digest) => desk.images.by_digest(&wish.spec.image, digest).await.ok().flatten(),
        None => None,
    };
    if let Some(image) = image {
        prepare::describe(&mut work, &wish, &image);
        if wish.anew {
            work = renewed(desk, &wish, work, image).await?;
        }
    }
    work.generation = wish.generation;
    work.attempts = 0;
    // A person who starts it again does not wait for the back-off.
    let waits = state.as_ref().is_some_and(|state| state.activity == Activity::Backoff);
    // A running process keeps what it has mounted, deleted or not: only a new one has the new
    // folder.
    if waits || lost || wish.anew {
        work.run = wish.generation;
    }
    async_records::store_work(&desk.layout, &wish.id, work).await?;
    nudge(state.as_ref());
    Ok(())
}

/// Makes ready what the next run begins with. Where that cannot be, it begins with what there is.
async fn renewed(desk: &Desk, wish: &TaskAssignment, work: Work, image: Image) -> Stepped<Work> {
    let _turn = desk.networks.turn().await;
    let (layout, wish) = (desk.layout.clone(), wish.clone());
    blocking::run(move || {
        let mut renewed = work.clone();
        let done = prepare::renew(&layout, &wish, &mut renewed, &image);
        Ok(if done.is_ok() { renewed } else { work })
    })
    .await
}

/// Makes volumes anew that were deleted under the running process; whether there were any.
async fn lost_volumes(desk: &Desk, records: &Records) -> Stepped<bool> {
    let process = records.state.as_ref().and_then(|state| state.process.clone());
    let Some(process) = process.filter(Process::lives) else { return Ok(false) };
    let lost = read::lost_volumes(records, &process);
    let (Some(digest), false) = (records.work.digest, lost.is_empty()) else {
        return Ok(false);
    };
    let Some(image) = desk.images.by_digest(&records.wish.spec.image, digest).await? else {
        return Err(StepError::Retry(Failure {
            kind: FailureKind::NotHere,
            text: "its image is not here".to_owned(),
        }));
    };
    let (layout, wish, work) = (desk.layout.clone(), records.wish.clone(), records.work.clone());
    blocking::run(move || mount_sources::renew(&layout, &wish, &work, &image, &lost)).await?;
    Ok(true)
}

async fn repair_networks(
    desk: &Desk,
    spec: Arc<TaskSpec>,
    endpoints: Vec<Endpoint>,
    process: Option<Process>,
) -> Stepped<()> {
    let _turn = desk.networks.turn().await;
    let (layout, program) = (desk.layout.clone(), desk.options.executable.clone());
    let names: Vec<_> = spec.networks.iter().map(|a| a.network.clone()).collect();
    let view = Arc::clone(&desk.view);
    blocking::run(move || {
        names.iter().try_for_each(|name| stored::make(&layout, name, &view.networks()?))?;
        resolver::ensure(&layout, &program).map_err(cannot("start `keel net`"))?;
        let all = view.networks()?;
        network::repair(&layout, &stored::made(&all).collect::<Vec<_>>())
            .and_then(|()| resolver::nudge(&layout))
            .map_err(StepError::of_network)?;
        process.map_or(Ok(()), |process| rejoin(&endpoints, &process, &spec))
    })
    .await
}

/// Links that somebody took away or down, their addresses and routes. What is still there is set
/// right where it is, so that connections go on; what is gone is made anew.
fn rejoin(endpoints: &[Endpoint], process: &Process, spec: &TaskSpec) -> Stepped<()> {
    let cut = || -> Vec<_> {
        let cut = |endpoint: &&Endpoint| !read::is_joined(process, endpoint, spec);
        endpoints.iter().filter(cut).cloned().collect()
    };
    let path = namespaces::path(process);
    if cut().is_empty() || (network::set_up(endpoints, &path).is_ok() && cut().is_empty()) {
        return Ok(());
    }
    network::connect(&cut(), &path).map_err(StepError::of_network)
}

/// The shim makes the cgroup anew for each run, by the stored specification.
fn limits_of_next_run(dir: &TaskDir, spec: &TaskSpec) -> Stepped<()> {
    let failed = cannot("change config.json");
    let mut stored = specification(&dir.0).map_err(|error| StepError::retry(error.message))?;
    let before = stored.clone();
    runtime::change_limits(&mut stored, spec);
    if stored == before {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&stored).map_err(|error| failed(error.into()))?;
    record::replace(&dir.config(), &bytes, 0o600).map_err(failed)
}

fn limits(cgroup: &Cgroup, spec: &TaskSpec) -> Stepped<()> {
    cgroup.apply(&limits_of(spec)).map_err(|(limit, error)| {
        let value = limit.value(limit.of(spec));
        cannot(format!("limit {limit} to {value}"))(error)
    })
}
