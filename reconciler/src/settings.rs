//! What a controller is started with.

use crate::clock::Clock;
use crate::config::SourceConfig;
use crate::fleet::Fleet;
use crate::notices::Destination;
use crate::repos::Repos;
use crate::source::Surroundings;
use crate::store::Store;
use keel_plan::desired::Policy;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a controller is started with.
#[derive(Clone)]
pub struct Settings {
    /// The root: what sources are given may not lie in it.
    pub root: PathBuf,
    /// What must not be lost.
    pub store: Arc<dyn Store>,
    /// `sources/` below the root: clones and checkouts.
    pub sources_dir: PathBuf,
    /// `data/` below the root: what Git rightly lacks.
    pub data: PathBuf,
    /// Repositories of our own.
    pub repos: Repos,
    /// The nodes.
    pub fleet: Fleet,
    /// What to watch with [`serve`](Self::serve); without it they are only what a preview is for.
    pub sources: Vec<SourceConfig>,
    /// Defaults of every stack's policy.
    pub policy: Policy,
    /// Refresh sources, run passes for every stored stack, look for drift. Without it only what
    /// a command names is passed over.
    pub serve: bool,
    /// Variables that directory sources may interpolate; Git sources never see them.
    pub environment: BTreeMap<String, String>,
    /// What `~` means in a directory source's bind mounts.
    pub home: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
    /// Who is told of what happens; ignored unless [`serve`](Self::serve).
    pub destinations: Vec<Destination>,
    /// What this host is called in what they are told.
    pub host: String,
}

impl Settings {
    /// What sources take from all of this.
    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            sources_dir: &self.sources_dir,
            data: &self.data,
            state: Some(self.root.clone()),
            repos: &self.repos,
            environment: &self.environment,
            home: &self.home,
            policy: &self.policy,
        }
    }
}
