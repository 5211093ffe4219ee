//! The node's images: which are here, which are on their way, and how a task gets its own.
//!
//! # Invariants
//! - One pull for each name at a time; whoever else wants it waits for the same.
//! - A pull that was asked for is on disk until it has ended, so that a driver that dies leaves it
//!   to the next one.

mod known;
mod observed;

use crate::runtime::ImageFacts;
use crate::task::step_error::{StepError, Stepped};
use crate::{Layout, Options, RootLease, root::record};
use keel_engine::{Digest, EngineError, Event, Failure, ObservedImage, PullPolicy, Result};
use keel_images::{
    Credentials, Image, LayerStep, Platform, Progress, Reference, Registries, Store, Trash,
};
use known::{PullState, absent, broke_off, failure, named};
use observed::Listed;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::{broadcast, watch};

/// The images of one root.
pub(crate) struct Images {
    store: Store,
    registries: Registries,
    /// By the name as written.
    known: Mutex<BTreeMap<String, PullState>>,
    listed: Listed,
    events: broadcast::Sender<Event>,
    asked: PathBuf,
    lease: Option<RootLease>,
}

/// What a sweep took away, or would.
pub(crate) struct Gone {
    pub(crate) names: Vec<Reference>,
    pub(crate) bytes: u64,
    /// To be dropped where no lock is held.
    pub(crate) trash: Option<Trash>,
}

/// A pull that was asked for and has not ended.
#[derive(Serialize, Deserialize)]
struct Asked {
    reference: String,
}

impl Images {
    pub(crate) fn open(
        layout: &Layout,
        options: &Options,
        events: broadcast::Sender<Event>,
    ) -> Result<Self> {
        let failed = |error| EngineError::failed("cannot open the image store", error);
        let store =
            Store::open_with_built_in(layout.root(), &options.executable).map_err(failed)?;
        let credentials = Credentials::file(&options.credentials);
        let registries =
            Registries::new(options.registries.clone(), credentials).map_err(failed)?;
        let asked = layout.root().join("pulls");
        let (known, listed, lease) = (Mutex::default(), Listed::default(), options.lease.clone());
        Ok(Self { store, registries, known, listed, events, asked, lease })
    }

    fn known<T>(&self, reference: &str, with: impl FnOnce(&mut PullState) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.listed.change();
        with(known.entry(reference.to_owned()).or_default())
    }

    fn forget_known(&self, reference: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
        self.listed.change();
    }

    /// Whether there may be something new since this was asked last.
    pub(crate) fn has_changed(&self) -> bool {
        self.listed.has_changed()
    }

    /// The next look reads the store.
    pub(crate) fn forget_stored(&self) {
        self.listed.forget_stored();
    }

    /// What is here and what is on its way, under the names by which it is asked for: `written` are those of
    /// tasks.
    pub(crate) fn observed(&self, written: BTreeSet<String>) -> Result<Vec<ObservedImage>> {
        let stored = self.listed.stored(&self.store).inspect_err(|_| self.listed.change())?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(observed::observed(&stored, &known, written))
    }

    /// Takes a wish for an image: pulls it where the policy says so.
    pub(crate) fn wish(self: &Arc<Self>, reference: &str, policy: PullPolicy) -> Result<()> {
        let parsed = parse(reference)?;
        let here = self.local(&parsed)?.is_some();
        match policy {
            PullPolicy::Missing | PullPolicy::Never if here => self.known(reference, |_| ()),
            PullPolicy::Never => {
                self.known(reference, |known| known.failure = Some(absent(reference)))
            }
            PullPolicy::Missing | PullPolicy::Always => {
                let path = self.asked_for(reference);
                let failed =
                    |error| EngineError::failed(format!("cannot write {}", path.display()), error);
                std::fs::create_dir_all(&self.asked).map_err(failed)?;
                record::store(&path, &Asked { reference: reference.to_owned() }).map_err(failed)?;
                self.pull(reference, parsed);
            }
        }
        let _ = self.events.send(Event::Image(reference.to_owned()));
        Ok(())
    }

    /// Goes on with what an earlier driver was asked for.
    pub(crate) fn go_on(self: &Arc<Self>) {
        let Ok(entries) = std::fs::read_dir(&self.asked) else { return };
        for entry in entries.flatten() {
            let asked = record::load::<Asked>(&entry.path()).ok().flatten();
            match asked.map(|asked| (named(&asked.reference), asked.reference)) {
                Some((Ok(parsed), reference)) => drop(self.pull(&reference, parsed)),
                _ => drop(std::fs::remove_file(entry.path())),
            }
        }
    }

    fn asked_for(&self, reference: &str) -> PathBuf {
        self.asked.join(Digest::of(reference.as_bytes()).hex())
    }

    /// Starts a pull, unless one goes on. The answer turns true when it has ended.
    fn pull(self: &Arc<Self>, reference: &str, parsed: Reference) -> watch::Receiver<bool> {
        let (done, receiver) = watch::channel(false);
        let going = self.known(reference, |known| match &known.going {
            Some(going) => Some(going.clone()),
            None => {
                known.going = Some(receiver.clone());
                known.layers.clear();
                None
            }
        });
        if let Some(going) = going {
            return going;
        }
        let (images, reference) = (Arc::clone(self), reference.to_owned());
        tokio::spawn(async move {
            let (pulling, name) = (Arc::clone(&images), reference.clone());
            let pull = async move { pulling.pull_in_turn(&name, &parsed).await };
            // Whoever waits is told also of what should never happen.
            if tokio::spawn(pull).await.is_err() {
                images.ended(&reference, Some(broke_off())).await;
            }
            // Nobody may wait for it.
            let _ = done.send(true);
        });
        receiver
    }

    async fn pull_in_turn(&self, reference: &str, parsed: &Reference) {
        let _turn = match &self.lease {
            None => None,
            Some(lease) => match lease.turn().await {
                Ok(turn) => Some(turn),
                // Whoever drives now finds the wish on disk.
                Err(_) => return self.known(reference, |known| known.going = None),
            },
        };
        let report = |progress: Progress| self.progress(reference, progress);
        let pulled = self.store.pull(parsed, &Platform::host(), &self.registries, &report).await;
        self.ended(reference, pulled.err().map(|error| failure(&error))).await;
    }

    fn progress(&self, reference: &str, progress: Progress) {
        let Progress::Layer { layer, step: LayerStep::Downloading { done, total } } = progress
        else {
            return;
        };
        self.known(reference, |known| known.layers.insert(layer, (done, total)));
    }

    async fn ended(&self, reference: &str, failure: Option<Failure>) {
        self.known(reference, |known| {
            known.going = None;
            known.pulls += 1;
            known.failure = failure;
        });
        // It has ended: should this file stay, the next driver pulls once more than needed.
        let asked = self.asked_for(reference);
        let _ = crate::blocking::run(move || std::fs::remove_file(asked)).await;
        let _ = self.events.send(Event::Image(reference.to_owned()));
    }

    fn local(&self, reference: &Reference) -> Result<Option<Image>> {
        let failed =
            |error| EngineError::failed(format!("cannot look for image {reference}"), error);
        self.store.resolve_local(reference).map_err(failed)
    }

    /// The image of a task: pinned where it once was decided, else by the pull policy.
    pub(crate) async fn ensure(
        self: &Arc<Self>,
        reference: &str,
        policy: PullPolicy,
        pinned: Option<&Digest>,
    ) -> Stepped<Image> {
        let parsed = named(reference).map_err(|error| StepError::never(&error))?;
        // The built-in image is what this executable is; another one's is nowhere to be had.
        let pinned = pinned.filter(|_| !parsed.is_built_in());
        let wanted = match pinned {
            Some(digest) => parsed.pinned(*digest),
            None => parsed,
        };
        let fresh = policy == PullPolicy::Always && pinned.is_none();
        if let Some(image) = self.find(&wanted).await?
            && !fresh
        {
            return Ok(image);
        }
        if policy == PullPolicy::Never {
            return Err(StepError::Permanent(absent(reference)));
        }
        let name = if pinned.is_some() { wanted.to_string() } else { reference.to_owned() };
        let mut done = self.pull(&name, wanted.clone());
        // An error means that the pull's task is gone; what it left is looked at either way.
        let _ = done.wait_for(|done| *done).await;
        match self.known(&name, |known| known.failure.clone()) {
            Some(failure) if failure.kind.may_pass() || failure.kind.is_missing() => {
                Err(StepError::Retry(failure))
            }
            Some(failure) => Err(StepError::Permanent(failure)),
            None => self.find(&wanted).await?.ok_or_else(|| StepError::Retry(absent(&name))),
        }
    }

    async fn find(self: &Arc<Self>, reference: &Reference) -> Result<Option<Image>> {
        let (images, reference) = (Arc::clone(self), reference.clone());
        crate::blocking::run(move || images.local(&reference)).await
    }

    /// The image by its digest, if it is here.
    pub(crate) async fn by_digest(
        self: &Arc<Self>,
        reference: &str,
        digest: Digest,
    ) -> Result<Option<Image>> {
        let parsed = parse(reference)?;
        let pinned = if parsed.is_built_in() { parsed } else { parsed.pinned(digest) };
        self.find(&pinned).await
    }

    /// Removes a name, and what only it led to.
    pub(crate) fn remove(&self, reference: &str, in_use: &[Digest]) -> Result<()> {
        let parsed = parse(reference)?;
        let in_use: BTreeSet<_> = in_use.iter().copied().collect();
        match self.store.remove(&parsed, &in_use) {
            Ok(_) => {}
            Err(keel_images::Error::NotHere { .. }) => {}
            Err(error) => {
                return Err(EngineError::failed(format!("cannot remove image {reference}"), error));
            }
        }
        self.forget_known(reference);
        let _ = self.events.send(Event::Image(reference.to_owned()));
        Ok(())
    }

    /// Removes these names, but for those that are `needed`, and what is here since `before` that
    /// nothing leads to. `None` while something is pulled: that may need what has no name yet.
    pub(crate) fn sweep(
        &self,
        names: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        in_use: &BTreeSet<Digest>,
        before: SystemTime,
        dry: bool,
    ) -> Result<Option<Gone>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.values().any(|known| known.going.is_some()) {
            return Ok(None);
        }
        drop(known);
        let needed: BTreeSet<_> = needed.iter().filter_map(|name| named(name).ok()).collect();
        let gone = names.iter().filter_map(|name| named(name).ok());
        let gone = gone.filter(|name| !name.is_built_in() && !needed.contains(name)).collect();
        let in_use: BTreeSet<_> = in_use.iter().copied().collect();
        let failed = |error| EngineError::failed("cannot remove images that nothing needs", error);
        if dry {
            let would = self.store.sweepable(&gone, &in_use, before).map_err(failed)?;
            return Ok(Some(Gone { names: would.0, bytes: would.1, trash: None }));
        }
        let swept = self.store.sweep(&gone, &in_use, before).map_err(failed)?;
        for name in names.iter().filter(|name| named(name).is_ok_and(|name| gone.contains(&name))) {
            self.forget_known(name);
            let _ = self.events.send(Event::Image(name.clone()));
        }
        let bytes = swept.removed.freed;
        Ok(Some(Gone { names: swept.untagged, bytes, trash: Some(swept.trash) }))
    }

    /// Bytes of all of them, and of what has no name.
    pub(crate) fn size(&self) -> Result<u64> {
        self.store.size().map_err(|error| EngineError::failed("cannot look at the images", error))
    }
}

/// Reads a name.
pub(crate) fn parse(reference: &str) -> Result<Reference> {
    named(reference)
        .map_err(|error| EngineError::Conflict { hint: error.hint(), what: error.to_string() })
}

/// What a task's specification takes from its image.
pub(crate) fn facts(image: &Image) -> ImageFacts {
    let config = image.config.clone();
    let some = |words: Vec<String>| (!words.is_empty()).then_some(words);
    let text = |word: String| (!word.is_empty()).then_some(word);
    ImageFacts {
        entrypoint: some(config.entrypoint),
        cmd: some(config.cmd),
        env: config.env,
        user: text(config.user),
        working_dir: text(config.working_dir),
        volumes: config.volumes.into_iter().collect(),
        stop_signal: text(config.stop_signal),
        labels: config.labels,
    }
}
