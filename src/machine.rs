//! This machine's part of a controller: its engine, what it is configured with, and whose
//! environment it reads.

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::{env, root};
use keel_embedded::{Embedded, Layout, Options, RootLease};
use keel_pool::identity::Keyring;
use keel_reconciler::config::{Config, SourceConfig};
use keel_reconciler::repos::Repos;
use keel_reconciler::store::{EtcdStore, FileStore, Store};
use keel_reconciler::{Clock, Fleet, Settings};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key file of the root's own.
pub const SEALING_KEY: &str = "pool/sealing-key";

const DEFAULT_CONFIG: &str = "/etc/keel/keel.yaml";

/// One clear message, where this machine cannot run containers.
pub fn check_machine() -> Result<()> {
    let lacks = keel_embedded::probe::probe();
    let Some(first) = lacks.first() else { return Ok(()) };
    let all = lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Failure::new(format!("this machine lacks {all}")).hint(first.remedy.clone()))
}

/// Whether, and for how long, this process changes what is below the root.
pub enum Driving {
    /// It only looks.
    Not,
    /// For as long as its engine is open; it holds the lock.
    ForLife,
    /// In turns of this.
    InTurns(RootLease),
}

/// This machine's engine.
pub async fn engine(context: &Context, layout: &Layout, driving: Driving) -> Result<Arc<Embedded>> {
    root::check_restored(layout)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::caused("cannot find this program", &error))?;
    let mut options = Options::new(root::node(), program);
    (options.drive, options.lease) = match driving {
        Driving::Not => (false, None),
        Driving::ForLife => (true, None),
        Driving::InTurns(lease) => (true, Some(lease)),
    };
    options.credentials = credentials();
    options.registries = registries(&config(context)?);
    if let Some(socket) = env::get(env::DOCKER_HOST) {
        // Another host's Docker does not matter here.
        options.docker = socket.strip_prefix("unix://").map(PathBuf::from);
    }
    Ok(Arc::new(Embedded::open(layout.clone(), options).await?))
}

/// How registries are reached.
pub fn registries(config: &Config) -> keel_images::RegistryConfig {
    let mut registries = keel_images::RegistryConfig::default();
    for (host, registry) in &config.registries {
        if !registry.mirrors.is_empty() {
            registries.mirrors.insert(host.clone(), registry.mirrors.clone());
        }
        if !registry.auth_hosts.is_empty() {
            registries.auth_hosts.insert(host.clone(), registry.auth_hosts.clone());
        }
        if registry.insecure {
            registries.insecure.push(host.clone());
        }
    }
    registries
}

/// docker's `config.json`, where docker would look for it.
pub fn credentials() -> PathBuf {
    let home = || PathBuf::from(env::get(env::HOME).unwrap_or_else(|| "/root".to_owned()));
    let folder = env::get(env::DOCKER_CONFIG).map(PathBuf::from);
    folder.unwrap_or_else(|| home().join(".docker")).join("config.json")
}

/// What a controller on this root is started with; with sources it serves.
pub fn settings(
    context: &Context,
    layout: &Layout,
    engine: Arc<Embedded>,
    sources: Option<Vec<SourceConfig>>,
) -> Result<Settings> {
    let below = |name: &str| layout.root().join(name);
    let (config, repos) = (config(context)?, repos(context, layout)?);
    let serve = sources.is_some();
    let store = store(&config, layout, serve)?;
    let sources = sources.unwrap_or_else(|| with_own(config.sources, repos.sources()));
    Ok(Settings {
        root: layout.root().to_owned(),
        store,
        sources_dir: below("sources"),
        data: below("data"),
        repos,
        fleet: Fleet::of(root::node(), engine),
        serve,
        sources,
        policy: config.policy,
        environment: environment(),
        home: env::get(env::HOME).map(PathBuf::from),
        clock: Clock::system(),
        destinations: vec![],
        host: root::node().to_string(),
    })
}

/// Where this root's controller keeps what must not be lost. Who serves asks again and again.
pub fn store(config: &Config, layout: &Layout, serve: bool) -> Result<Arc<dyn Store>> {
    if let Some(etcd) = &config.store {
        let store = EtcdStore::open(etcd).map_err(|error| Failure::new(chain(&error)))?;
        return Ok(Arc::new(store));
    }
    let opened = FileStore::open(layout.root().join("records"), layout.late());
    let store = opened.map_err(|error| Failure::new(chain(&error)))?;
    Ok(Arc::new(if serve { store.watched() } else { store }))
}

/// Where the keys are that seal the pool's certificate authority.
pub fn keyring(config: &Config, layout: &Layout) -> Keyring {
    let own = layout.root().join(SEALING_KEY);
    Keyring { unlock: config.pool.unlock_key_file.clone(), own, is_shared: config.store.is_some() }
}

/// With the repositories of our own that are not among them.
pub fn with_own(mut sources: Vec<SourceConfig>, own: Vec<SourceConfig>) -> Vec<SourceConfig> {
    let unnamed = |one: &SourceConfig| sources.iter().all(|other| other.name != one.name);
    let own: Vec<_> = own.into_iter().filter(unnamed).collect();
    sources.extend(own);
    sources
}

/// What `keel.yaml` says, where there is one.
pub fn config(context: &Context) -> Result<Config> {
    Ok(written_config(context)?.map(|written| written.config).unwrap_or_default())
}

/// `keel.yaml`, as it was read.
pub struct Written {
    /// What it says.
    pub config: Config,
    /// Its text.
    pub text: String,
    /// Where it is.
    pub shown: String,
}

/// The same with its text; `None` where there is none.
pub fn written_config(context: &Context) -> Result<Option<Written>> {
    let given = context.global.config.as_deref();
    let path = given.unwrap_or(Path::new(DEFAULT_CONFIG));
    let shown = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => match Config::parse(&text, &shown) {
            Ok(config) => Ok(Some(Written { config, text, shown })),
            Err(error) => {
                context.screen.problem(&error.to_string());
                Err(Failure::Said(Exit::Failed))
            }
        },
        Err(error) if given.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::caused(format!("cannot read `{shown}`"), &error)),
    }
}

/// Repositories of our own on this root; their hooks call this program as it was called.
pub fn repos(context: &Context, layout: &Layout) -> Result<Repos> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::caused("cannot find this program", &error))?;
    // Another version was put in its place meanwhile: that one is to be called.
    let program = program.display().to_string().trim_end_matches(" (deleted)").to_owned();
    let mut words = vec![program, "--root".to_owned()];
    words.push(layout.root().display().to_string());
    if let Some(config) = &context.global.config {
        words.push("--config".to_owned());
        words.push(root::settled(config).display().to_string());
    }
    let folder = layout.root().join("repos");
    Ok(Repos { folder, program: words, group: root::group() })
}

/// Whoever loads a stack of a folder lends it their variables.
pub fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}
