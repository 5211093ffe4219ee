//! `keel restore`: a machine becomes the controller that a backup is of.

use crate::archive::{Backup, BackupManifest, Placed, place};
use crate::context::Context;
use crate::driver_lock;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::machine::{config, keyring, store};
use crate::pool_records::{AUTHORITY, EPOCH, REGISTRY, epoch};
use crate::show::ago;
use crate::{root, sudo};
use keel_embedded::Layout;
use keel_pool::epoch::Epoch;
use keel_pool::identity::{Keyring, Registry, SealedBy, converted, sealed_by};
use keel_reconciler::clock::rfc3339;
use keel_reconciler::config::Config;
use keel_reconciler::restored::restored;
use std::fs;
use std::path::{Path, PathBuf};

/// The arguments of `keel restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel restore /mnt/backup/keel-2026-11-29")]
pub struct Args {
    /// File of `keel backup`
    file: PathBuf,
    /// Replace what the controller of this machine knows
    #[arg(long)]
    force: bool,
}

/// Runs `keel restore`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel restore needs root"));
    }
    let layout = root::layout(&context.global.root);
    let config = config(context)?;
    if config.store.is_some() {
        return Err(Failure::new("`keel restore` writes files, and this controller keeps its records in etcd")
            .hint("restore without `store` in keel.yaml, then run `keel store migrate --to etcd`; or restore etcd itself"));
    }
    let file = args.file.clone();
    let opened = keel_blocking::run(move || {
        let mut backup = Backup::open(&file)?;
        let manifest = backup.manifest()?;
        let authority = backup.entry(AUTHORITY)?;
        Ok::<_, crate::archive::ArchiveError>((backup, manifest, authority))
    });
    let (backup, manifest, authority) =
        opened.await.map_err(|error| Failure::new(chain(&error)))?;
    check_opens(authority, keyring(&config, &layout)).await?;
    let _lock = driver_lock::for_life(context, &layout, "keel restore").await?;
    if !args.force {
        check_empty(&layout)?;
    }
    let known = present_epoch(&config, &layout).await?;
    let mut raised = Epoch::default();
    let placed = place(backup, &layout, |entries| {
        let before = entries.iter().position(|(key, _)| key == EPOCH);
        let before = before.map(|at| entries.swap_remove(at).1);
        let stored = Epoch::decode(before.as_deref()).map_err(|error| error.to_string())?;
        raised = stored.max(known).restored(ago::now());
        entries.iter_mut().try_for_each(|(key, value)| put_right(key, value, raised))?;
        entries.push((EPOCH.to_owned(), raised.encode()));
        Ok(())
    });
    let placed = placed.await.map_err(|error| Failure::new(chain(&error)))?;
    tell(context, &manifest, &placed, raised);
    Ok(Exit::Done)
}

/// What is sealed with an unlock key would be restored for nothing without that.
async fn check_opens(authority: Option<Vec<u8>>, keys: Keyring) -> Result<()> {
    let Some(text) = authority else { return Ok(()) };
    // The key file of a root's own is part of the backup.
    if !matches!(sealed_by(&text), Ok(SealedBy::UnlockKey)) {
        return Ok(());
    }
    match converted(text, keys.clone(), keys).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(format!("nothing was restored: {}", chain(&error))).hint(
            "copy the unlock key file of the backed-up controller to this machine, and name it in keel.yaml: `pool: { unlock-key-file: FILE }`",
        )),
    }
}

/// A restore that was interrupted is done again.
fn check_empty(layout: &Layout) -> Result<()> {
    if root::interrupted(layout).exists() {
        return Ok(());
    }
    let root = layout.root();
    let is_used =
        |name: &str| fs::read_dir(root.join(name)).is_ok_and(|mut all| all.next().is_some());
    if root.join("pool/node.pem").exists() {
        return Err(used(root, "this machine is a node of a pool"));
    }
    if ["records/stacks", "records/sources", "records/pool", "repos", "tasks"]
        .iter()
        .any(|name| is_used(name))
    {
        return Err(used(root, "a controller has been running here"));
    }
    Ok(())
}

/// What was decided after the backup is not in it.
fn put_right(key: &str, value: &mut Vec<u8>, epoch: Epoch) -> std::result::Result<(), String> {
    if key == REGISTRY {
        let mut registry = Registry::decode(value).map_err(|error| error.to_string())?;
        registry.restored();
        *value = registry.encode();
    } else if let Some(right) = restored(key, value, epoch.0) {
        *value = right;
    }
    Ok(())
}

fn used(root: &Path, why: &str) -> Failure {
    Failure::new(format!("{} is not empty: {why}", root.display())).hint(
        "`--force` replaces what the controller of this machine knows; containers and volumes stay",
    )
}

/// Of the pool that is replaced: nodes may have seen it.
async fn present_epoch(config: &Config, layout: &Layout) -> Result<Epoch> {
    if !layout.root().join("records").is_dir() {
        return Ok(Epoch::default());
    }
    // Where it cannot be read, the time is ahead of it.
    Ok(epoch(&*store(config, layout, false)?).await.unwrap_or_default())
}

fn tell(context: &Context, manifest: &BackupManifest, placed: &Placed, epoch: Epoch) {
    let BackupManifest { host, at, .. } = manifest;
    context.screen.say(&format!(
        "restored {} records of {host}, as they were at {}; the pool has epoch {epoch} now",
        placed.entries.len(),
        rfc3339(*at)
    ));
    let registry = placed.entries.iter().find(|(key, _)| key == REGISTRY);
    let nodes = registry.and_then(|(_, value)| Registry::decode(value).ok());
    let count = nodes.map_or(0, |registry| registry.nodes().count());
    context
        .screen
        .say("start `keel serve`; nodes that have seen it refuse the old controller from then on");
    if count > 0 {
        context.screen.say(&format!(
            "the {count} nodes of the pool find this machine at the old one's address; else run on each of them: keel \
             agent --join HOST:PORT"
        ));
    }
}
