//! `keel backup`: everything that a controller must not lose, as one file.

use crate::archive::{BackupManifest, write};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::machine::{config, store};
use crate::pool_records::AUTHORITY;
use crate::show::ago;
use crate::{root, sudo};
use keel_pool::identity::{SealedBy, sealed_by};
use std::path::PathBuf;

/// The arguments of `keel backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keel backup /mnt/backup/keel-$(date +%F)")]
pub struct Args {
    /// File to write; one that exists is replaced
    file: PathBuf,
}

/// Runs `keel backup`.
pub async fn run(args: Args, context: &Context) -> Result<Exit> {
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel backup needs root"));
    }
    let layout = root::layout(&context.global.root);
    root::check_restored(&layout)?;
    let nothing = || {
        Failure::new(format!("there is nothing to back up in {}", layout.root().display()))
            .hint("run it on the machine that `keel serve` runs on")
    };
    let config = config(context)?;
    if config.store.is_none() && !layout.root().join("records").is_dir() {
        return Err(nothing());
    }
    let store = store(&config, &layout, false)?;
    // First: files that come later are no harm, and those that entries name are there.
    let entries = store.range("").await.map_err(|error| Failure::new(chain(&error)))?;
    if entries.is_empty() {
        return Err(nothing());
    }
    let authority = entries.iter().find(|entry| entry.key == AUTHORITY);
    let needs_unlock_key =
        authority.is_some_and(|entry| matches!(sealed_by(&entry.value), Ok(SealedBy::UnlockKey)));
    let manifest = BackupManifest {
        keel: env!("CARGO_PKG_VERSION").to_owned(),
        host: root::node().to_string(),
        at: ago::now(),
    };
    let (count, to, from) = (entries.len(), args.file.clone(), layout.root().to_owned());
    let written = keel_blocking::run(move || write(&to, &manifest, &entries, &from)).await;
    written.map_err(|error| Failure::new(chain(&error)))?;
    context
        .screen
        .say(&format!("wrote {count} records and the files they need to {}", args.file.display()));
    context
        .screen
        .say("the file holds the pool's keys and the secrets of stacks: keep it as you keep those");
    if needs_unlock_key {
        context.screen.say(
            "the key of the pool's certificate authority is sealed: `keel restore` also needs the unlock key file, which \
             is not part of the backup",
        );
    }
    Ok(Exit::Done)
}
