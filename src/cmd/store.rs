//! `keel store migrate`: what a controller must not lose moves between files and etcd.

use crate::context::Context;
use crate::driver_lock;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::machine::{config, keyring, store};
use crate::pool_records::{AUTHORITY, EPOCH, MIGRATING, epoch};
use crate::{root, sudo};
use keel_pool::identity::{Keyring, converted, is_one_pool};
use keel_reconciler::config::Config;
use keel_reconciler::store::{Entry, EtcdStore, Keep, Leadership, PoolLeader, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The subcommands of `keel store`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Copy all records to etcd or to files; the controllers must not run
    #[command(after_help = "Example:\n  keel store migrate --to etcd")]
    Migrate(Migrate),
}

/// `store migrate`.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Where to: the etcd that keel.yaml names, or files below the root
    #[arg(long)]
    to: Kind,
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Etcd,
    Files,
}

/// Runs `keel store`.
pub async fn run(command: Command, context: &Context) -> Result<Exit> {
    let Command::Migrate(Migrate { to }) = command;
    if !sudo::is_root() {
        return Err(sudo::offer(context, "keel store migrate needs root"));
    }
    let (layout, config) = (root::layout(&context.global.root), config(context)?);
    root::check_restored(&layout)?;
    let _lock = driver_lock::for_life(context, &layout, "keel store migrate").await?;
    let (etcd, led) = lead(&config).await?;
    let files = store(&Config::default(), &layout, false)?;
    let etcd: Arc<dyn Store> = Arc::new(etcd);
    let here = Keyring { is_shared: false, ..keyring(&config, &layout) };
    let shared = Keyring { is_shared: true, ..here.clone() };
    let (source, target, rings) = match to {
        Kind::Etcd => (files, etcd, [here, shared]),
        Kind::Files => (etcd, files, [shared, here]),
    };
    let moved = migrate(&*source, &*target, rings).await;
    led.resign().await;
    let count = moved?;
    let next = match to {
        Kind::Etcd => "start `keel serve` with the `store` of keel.yaml on each controller",
        Kind::Files => {
            "remove `store` from keel.yaml, and start `keel serve` on this machine alone"
        }
    };
    context.screen.say(&format!("{count} records are copied; {next}"));
    Ok(Exit::Done)
}

/// No controller may change anything meanwhile.
async fn lead(config: &Config) -> Result<(EtcdStore, Leadership)> {
    let Some(named) = &config.store else {
        return Err(Failure::usage("keel.yaml names no etcd")
            .hint("add `store: { etcd: { endpoints: [\"https://…:2379\"] } }`"));
    };
    let etcd = EtcdStore::open(named).map_err(|error| failure(&error))?;
    let host = root::node().to_string();
    let me = PoolLeader { host, who: "keel store migrate".to_owned(), address: String::new() };
    match etcd.try_to_lead(&me).await.map_err(|error| failure(&error))? {
        Ok(led) => Ok((etcd, led)),
        Err(PoolLeader { host, who, .. }) => Err(Failure::new(format!("`{who}` on {host} uses the records in etcd"))
            .hint("stop `keel serve` on all controllers; the lead of one that died ends after five seconds")),
    }
}

fn failure(error: &StoreError) -> Failure {
    Failure::new(chain(error))
}

/// Copies everything. While that is under way a mark is in the target, with which no controller uses it; whoever is
/// interrupted does it again. The epoch is raised, so that nodes follow nobody who uses the source.
///
/// The pool's authority is opened with one ring of keys, and sealed with the other.
async fn migrate(source: &dyn Store, target: &dyn Store, rings: [Keyring; 2]) -> Result<usize> {
    let (mut from, to) = (range(source).await?, range(target).await?);
    if from.is_empty() || from.contains_key(MIGRATING) {
        return Err(Failure::new("there is nothing to copy: no controller has used these records, or they are incomplete")
            .hint("check `--to`, and `store` in keel.yaml"));
    }
    check_same_pool(&from, &to)?;
    if let Some(authority) = from.get_mut(AUTHORITY) {
        let [opens, seals] = rings;
        let text = converted(std::mem::take(&mut authority.value), opens, seals).await;
        authority.value = text.map_err(|error| Failure::new(chain(&error)))?;
    }
    let epoch = epoch(source).await?.max(epoch(target).await?).next();
    put(target, &to, MIGRATING, b"{}").await?;
    for (key, entry) in from.iter().filter(|(key, _)| *key != EPOCH) {
        put(target, &to, key, &entry.value).await?;
    }
    for key in
        to.keys().filter(|key| !from.contains_key(*key) && *key != MIGRATING && *key != EPOCH)
    {
        target.delete(key).await.map_err(|error| failure(&error))?;
    }
    put(target, &to, EPOCH, &epoch.encode()).await?;
    target.delete(MIGRATING).await.map_err(|error| failure(&error))?;
    Ok(from.len())
}

async fn range(store: &dyn Store) -> Result<BTreeMap<String, Entry>> {
    let entries = store.range("").await.map_err(|error| failure(&error))?;
    Ok(entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect())
}

/// Records of another pool are not replaced.
fn check_same_pool(from: &BTreeMap<String, Entry>, to: &BTreeMap<String, Entry>) -> Result<()> {
    let authority =
        |all: &BTreeMap<String, Entry>| all.get(AUTHORITY).map(|entry| entry.value.clone());
    let is_one = match (authority(from), authority(to)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(ours), Some(theirs)) => {
            is_one_pool(&ours, &theirs).map_err(|error| Failure::new(chain(&error)))?
        }
    };
    match is_one {
        true => Ok(()),
        false => Err(Failure::new("the records there are of another pool")
            .hint("set another `prefix` of `store.etcd`, or remove those records first")),
    }
}

async fn put(
    target: &dyn Store,
    there: &BTreeMap<String, Entry>,
    key: &str,
    value: &[u8],
) -> Result<()> {
    let found = there.get(key);
    if found.is_some_and(|found| found.value == value) {
        return Ok(());
    }
    let at = found.map_or(0, |found| found.revision);
    let put = target.put(key, value.to_vec(), at, Keep::OnDisk).await;
    put.map(drop).map_err(|error| failure(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keel_pool::identity::{Authority, SealedBy, sealed_by};
    use keel_reconciler::Late;
    use keel_reconciler::store::FileStore;

    fn store(folder: &tempfile::TempDir, name: &str) -> FileStore {
        let root = folder.path().join(name);
        FileStore::open(root.join("records"), Late::new(&root, root.join("late"))).unwrap()
    }

    async fn fill(store: &FileStore, entries: &[(&str, &[u8])]) {
        for (key, value) in entries {
            store.put(key, value.to_vec(), 0, Keep::OnDisk).await.unwrap();
        }
    }

    #[tokio::test]
    async fn records_are_copied_once_or_twice_alike_and_another_pools_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("sealing-key");
        let here = Keyring { unlock: None, own, is_shared: false };
        let shared = Keyring { is_shared: true, ..here.clone() };
        let rings = || [here.clone(), shared.clone()];
        let authority = || Authority::create(0).unwrap().encode();
        let ours = converted(authority(), here.clone(), here.clone()).await.unwrap();
        assert_eq!(sealed_by(&ours).unwrap(), SealedBy::OwnFile);
        let (from, to, other) = (store(&folder, "a"), store(&folder, "b"), store(&folder, "c"));
        fill(&from, &[(AUTHORITY, &ours), ("stacks/a/desired", b"1")]).await;
        assert!(migrate(&to, &from, rings()).await.is_err(), "an empty store replaces nothing");
        // It was interrupted after it had begun, and the source went on.
        fill(&to, &[(MIGRATING, b"{}"), ("stacks/gone/desired", b"1"), ("stacks/a/desired", b"0")])
            .await;
        for round in 2..4 {
            assert_eq!(migrate(&from, &to, rings()).await.unwrap(), 2);
            assert_eq!(to.keys("").await.unwrap(), [AUTHORITY, EPOCH, "stacks/a/desired"]);
            assert_eq!(to.get("stacks/a/desired").await.unwrap().unwrap().value, b"1");
            assert_eq!(epoch(&to).await.unwrap().0, round);
            // No other controller has the file that it is sealed with here.
            let there = to.get(AUTHORITY).await.unwrap().unwrap().value;
            assert_eq!(sealed_by(&there).unwrap(), SealedBy::Nothing);
            assert!(is_one_pool(&there, &ours).unwrap());
        }
        fill(&other, &[(AUTHORITY, &authority())]).await;
        let refused = migrate(&from, &other, rings()).await.unwrap_err();
        assert!(
            matches!(refused, Failure::Error { message, .. } if message.contains("another pool"))
        );
        assert_eq!(other.keys("").await.unwrap(), [AUTHORITY]);
    }
}
