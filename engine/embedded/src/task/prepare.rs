//! Makes everything ready that a task's run needs: image, volumes, addresses, ports, files.
//!
//! # Invariants
//! - Everything here can be done again: what is there already is kept, addresses and ports too.
//! - What was once decided for a task stays: its image's digest is never resolved anew.

use crate::desk::Desk;
use crate::network::ports::{Claim, publish};
use crate::network::{Taken, endpoints};
use crate::resolver::etc::{HostFiles, etc};
use crate::root::record::{Endpoint, Stage, Work};
use crate::runtime::PrepareError;
use crate::task::async_records;
use crate::task::queue::Driver;
use crate::task::records::{self, Records};
use crate::task::step::{self, Alive};
use crate::task::step_error::{StepError, Stepped, cannot};
use crate::view::View;
use crate::{Layout, blocking, images, network::stored, root::record, runtime, task::health_plan};
use keel_engine::{
    AddressError, Failure, FailureKind, Goal, MountError, PortError, TaskAssignment,
};
use keel_images::Image;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

/// The root's files, and what is known of them.
struct Root {
    layout: Layout,
    view: Arc<View>,
}

/// A task that is ready to be run.
pub(crate) struct Prepared {
    pub(crate) wish: TaskAssignment,
    pub(crate) work: Work,
}

/// Brings a task to [`Stage::Ready`].
pub(crate) async fn prepare(desk: &Desk, records: Records, driver: &Driver) -> Stepped<Prepared> {
    let Records { wish, mut work, .. } = records;
    let first = work.digest.is_none();
    if work.stage != Stage::Preparing || work.generation != wish.generation {
        if work.generation != wish.generation {
            (work.attempts, work.message) = (0, None);
        }
        (work.stage, work.generation) = (Stage::Preparing, wish.generation);
        async_records::note_work(&desk.layout, &wish.id, work.clone()).await?;
    }
    let image = image(desk, &wish, &work, driver).await?;
    work.digest = Some(image.digest);
    work.layers.clone_from(&image.layers);
    check_signal(&wish, &image)?;
    describe(&mut work, &wish, &image);
    let _turn = desk.networks.turn().await;
    let root = Root { layout: desk.layout.clone(), view: Arc::clone(&desk.view) };
    let prepared = blocking::run(move || ready(&root, wish, work, &image, first)).await?;
    driver.prepared(prepared.wish.generation);
    Ok(prepared)
}

/// The task's image. Given up when another wish comes.
async fn image(desk: &Desk, wish: &TaskAssignment, work: &Work, driver: &Driver) -> Stepped<Image> {
    let (spec, pinned) = (&wish.spec, work.digest.as_ref().or(wish.digest.as_ref()));
    let image = desk.images.ensure(&spec.image, spec.pull_policy, pinned);
    tokio::pin!(image);
    loop {
        tokio::select! {
            image = &mut image => return image,
            () = driver.woken() => {
                let now = async_records::load(&desk.layout, &wish.id).await?;
                if desk.is_closing() || now.is_none_or(|now| now.wish != *wish) {
                    return Err(StepError::Superseded);
                }
            }
        }
    }
}

/// A container that its stop signal does not reach would only ever be killed.
fn check_signal(wish: &TaskAssignment, image: &Image) -> Stepped<()> {
    let theirs = &image.config.stop_signal;
    if wish.spec.stop_signal.is_some()
        || theirs.is_empty()
        || keel_names::signal::number(theirs).is_some()
    {
        return Ok(());
    }
    let words = format!(
        "the image's STOPSIGNAL {theirs:?} is not a signal; set `stop_signal` for the service"
    );
    Err(StepError::Permanent(Failure { kind: FailureKind::Unusable, text: words }))
}

/// What the shim needs to know of the image.
pub(crate) fn describe(work: &mut Work, wish: &TaskAssignment, image: &Image) {
    let (own, config) = (&wish.spec, &image.config);
    work.health =
        health_plan::plan(own.healthcheck.as_ref(), config.healthcheck.as_ref(), &config.shell);
    let theirs = (!config.stop_signal.is_empty()).then(|| config.stop_signal.clone());
    work.stop_signal = own.stop_signal.clone().or(theirs);
}

/// All that is the disk's and the kernel's. In the networks' turn.
fn ready(
    root: &Root,
    wish: TaskAssignment,
    mut work: Work,
    image: &Image,
    first: bool,
) -> Stepped<Prepared> {
    let layout = &root.layout;
    contents(layout, &wish)?;
    let mounts = crate::task::mount_sources::resolve(layout, &wish, image, &mut work, first)?;
    place(root, &wish, &mut work)?;
    bundle(layout, &wish, &mut work, image, mounts)?;
    work.stage = Stage::Ready;
    records::note_work(&layout.task(&wish.id), &work)?;
    Ok(Prepared { wish, work })
}

/// What the host, the image and the specification say now, for another run of a task that keeps its
/// namespace, addresses and ports: a device may have another number by now.
pub(crate) fn renew(
    layout: &Layout,
    wish: &TaskAssignment,
    work: &mut Work,
    image: &Image,
) -> Stepped<()> {
    contents(layout, wish)?;
    let mounts = crate::task::mount_sources::resolve(layout, wish, image, work, false)?;
    bundle(layout, wish, work, image, mounts)
}

/// The files of the next run.
fn bundle(
    layout: &Layout,
    wish: &TaskAssignment,
    work: &mut Work,
    image: &Image,
    mounts: Vec<runtime::HostMount>,
) -> Stepped<()> {
    let dir = layout.task(&wish.id);
    files(layout, wish, work)?;
    let facts = images::facts(image);
    let request = runtime::Prepare { layout, assignment: wish, work, image: &facts, mounts };
    let bundle = runtime::prepare(&request).map_err(|error| match error {
        PrepareError::Bundle(_) => StepError::never(&error),
        _ => StepError::later(&error),
    })?;
    serde_json::to_vec(&bundle.spec)
        .map_err(std::io::Error::from)
        .and_then(|bytes| record::replace(&dir.config(), &bytes, 0o600))
        .map_err(cannot("write config.json"))?;
    let left_out = || Failure { kind: FailureKind::Degraded, text: bundle.warnings.join("; ") };
    work.message = (!bundle.warnings.is_empty()).then(left_out);
    Ok(())
}

fn contents(layout: &Layout, wish: &TaskAssignment) -> Stepped<()> {
    let files = wish.spec.configs.iter().chain(&wish.spec.secrets);
    for file in files {
        if !layout.secrets().join(file.digest.hex()).exists() {
            let awaited = MountError::ContentAwaited { name: file.name.clone() };
            return Err(StepError::waits(FailureKind::Mount(awaited)));
        }
    }
    Ok(())
}

/// Addresses and ports, against what the root's other tasks have.
fn place(root: &Root, wish: &TaskAssignment, work: &mut Work) -> Stepped<()> {
    let layout = &root.layout;
    for attachment in &wish.spec.networks {
        stored::make(layout, &attachment.network, &root.view.networks()?)?;
    }
    let joined = |name: &str| wish.spec.networks.iter().any(|own| own.network == name);
    let stored = root.view.networks()?;
    let made = stored::made(&stored).filter(|network| joined(&network.name));
    let made = made.map(|network| (network.name.clone(), network.clone())).collect();
    let all = root.view.records()?;
    let others: Vec<_> =
        all.iter().filter(|other| other.wish.id != wish.id && holds(other)).collect();
    let before = all.iter().find(|other| Some(&other.wish.id) == wish.replaces.as_ref());
    let before = before.map(|before| before.work.clone()).unwrap_or_default();
    let name = |other: &Records| other.wish.spec.container_name.clone();
    // What is only made ready takes the address over from the task before it, when that has ended.
    let gives_way = |other: &&&Arc<Records>| {
        wish.goal == Goal::Ready && Some(&other.wish.id) == wish.replaces.as_ref()
    };
    let taken: Vec<_> = others
        .iter()
        .filter(|other| !gives_way(other))
        .flat_map(|other| {
            let shared = other.work.endpoints.iter().filter(|one| joined(&one.network));
            shared.map(|endpoint| (name(other), endpoint.clone()))
        })
        .collect();
    let preferred: Vec<Endpoint> =
        work.endpoints.iter().chain(&before.endpoints).cloned().collect();
    let taken = Taken { held: taken, promised: promised(wish, &all) };
    work.endpoints = endpoints(&wish.id, &wish.spec, &made, &taken, &preferred).map_err(address)?;
    let claims: Vec<_> = others
        .iter()
        // Most publish none, and need not be looked at.
        .filter(|other| !other.work.ports.is_empty() && claims_ports(other))
        .flat_map(|other| {
            let port = |port| Claim { owner: owner(&other.wish), port };
            other.work.ports.iter().cloned().map(port)
        })
        .collect();
    let old: Vec<_> = work.ports.iter().chain(&before.ports).cloned().collect();
    work.ports = publish(layout, &owner(wish), &wish.spec.ports, &claims, &old).map_err(port)?;
    Ok(())
}

/// Addresses that others are to have, whether they have them yet or not: by network.
fn promised(wish: &TaskAssignment, all: &[Arc<Records>]) -> Vec<(String, IpAddr)> {
    let others = all.iter().map(|other| other.latest());
    let others = others.filter(|other| {
        other.id != wish.id && other.goal != Goal::Removed && !is_same_slot(other, wish)
    });
    let attachments = others.flat_map(|other| &other.spec.networks);
    let fixed = attachments.flat_map(|one| {
        let address = |address: &IpAddr| (one.network.clone(), *address);
        one.addresses.iter().map(address)
    });
    fixed.chain(wish.avoids.iter().cloned()).collect()
}

/// What the one before it in the slot fixed is its own to have.
fn is_same_slot(one: &TaskAssignment, other: &TaskAssignment) -> bool {
    one.place.slot().is_some() && one.place.slot() == other.place.slot()
}

/// Whether a task keeps its addresses and ports from others: not once it has stopped.
fn holds(other: &Records) -> bool {
    let alive = || Alive::of(other);
    other.wish.goal < Goal::Stopped || other.following.is_some() || alive().shim || alive().process
}

/// Whether a task keeps its ports from others: it runs, or is on its way to. One that waits for
/// something, or has ended and rests, reserves nothing against what runs.
fn claims_ports(other: &Records) -> bool {
    let alive = Alive::of(other);
    let is_due = || step::next(other, alive, &keel_durable::boot_id()) != step::Step::Rest;
    alive.shim
        || alive.process
        || match other.work.stage {
            Stage::Preparing => other.work.attempts == 0,
            Stage::Ready => true,
            Stage::Launched => is_due(),
            Stage::Pending | Stage::Rejected | Stage::Removing => false,
        }
}

/// Who shares a published port: the tasks of one service.
fn owner(wish: &TaskAssignment) -> String {
    match wish.place.slot() {
        Some(slot) => format!("{}/{}", slot.stack, slot.service),
        None => wish.spec.container_name.clone(),
    }
}

fn address(error: AddressError) -> StepError {
    let lasting = matches!(error, AddressError::Outside { .. });
    let failure = FailureKind::Address(error).into();
    if lasting { StepError::Permanent(failure) } else { StepError::Retry(failure) }
}

fn port(error: PortError) -> StepError {
    let lasting = matches!(error, PortError::Ipv6 { .. });
    let failure = FailureKind::Port(error).into();
    if lasting { StepError::Permanent(failure) } else { StepError::Retry(failure) }
}

/// `hosts`, `hostname` and `resolv.conf`: those of the task whose namespace it joins, where it
/// joins one.
fn files(layout: &Layout, wish: &TaskAssignment, work: &Work) -> Stepped<()> {
    let joined =
        wish.joins.as_ref().map(|other| records::load(layout, other)).transpose()?.flatten();
    let endpoints = joined.as_ref().map_or(&work.endpoints, |other| &other.work.endpoints);
    let first = endpoints.first().map(|endpoint| stored::load(layout, &endpoint.network));
    let gateway = first.transpose()?.flatten().and_then(|stored| stored.made);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (hosts, resolv_conf) = (read("/etc/hosts"), read("/etc/resolv.conf"));
    let hostname = read("/proc/sys/kernel/hostname");
    let host = HostFiles { hosts: &hosts, resolv_conf: &resolv_conf, hostname: hostname.trim() };
    let gateway = gateway.and_then(|network| network.pools.first()?.gateway);
    let etc = etc(&wish.id, &wish.spec, endpoints, gateway, host);
    let dir = layout.task(&wish.id);
    let contents =
        [("hosts", etc.hosts), ("hostname", etc.hostname), ("resolv.conf", etc.resolv_conf)];
    for (name, content) in contents {
        let path = dir.etc(name);
        let written = fs::create_dir_all(dir.0.join("etc"))
            .and_then(|()| record::replace(&path, content.as_bytes(), 0o644));
        written.map_err(cannot(format!("write {}", path.display())))?;
    }
    Ok(())
}
