//! The node's images: which are here, which are on their way, and how a task gets its own.
//!
//! # Invariants
//! - One pull for each name at a time; whoever else wants it waits for the same.
//! - A pull that was asked for is on disk until it has ended, so that a driver that dies leaves it
//!   to the next one; one with a login that was lent, to whoever lends it again.
//! - A login that was lent is dropped when its image is here, and when a pull fails that no task waits for.

mod known;
mod loans;
mod observed;

use crate::runtime::ImageFacts;
use crate::task::step_error::{StepError, Stepped};
use crate::{
    Layout, Options, RootLease,
    root::{contents, record},
};
use keel_engine::{
    Digest, EngineError, Event, Failure, LentLogin, Login, ObservedImage, PullPolicy, Result,
};
use keel_images::{
    Credentials, Image, LayerStep, Platform, Progress, Reference, Registries, Store, Trash,
};
use known::{PullState, absent, broke_off, failure, named};
use loans::{Loan, Loans};
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
    loans: Loans,
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
    /// With a login that is gone with this process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lent: bool,
}

/// For whom an image is pulled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// Who asks again where it failed, and lends a login for that.
    Controller,
    /// It tries again by itself.
    Task,
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
        let loans = Loans::new(contents::come_from_elsewhere(layout));
        Ok(Self { store, registries, known, listed, loans, events, asked, lease })
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
            PullPolicy::Missing | PullPolicy::Never if here => {
                self.loans.drop_of(&parsed);
                self.known(reference, |_| ());
            }
            PullPolicy::Never => {
                self.known(reference, |known| known.failure = Some(absent(reference)))
            }
            PullPolicy::Missing | PullPolicy::Always => {
                let path = self.asked_for(reference);
                let failed =
                    |error| EngineError::failed(format!("cannot write {}", path.display()), error);
                std::fs::create_dir_all(&self.asked).map_err(failed)?;
                let lent = self.loans.of(&parsed).is_login();
                let asked = Asked { reference: reference.to_owned(), lent };
                record::store(&path, &asked).map_err(failed)?;
                self.pull(reference, parsed, Asker::Controller);
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
            // Without the login that was lent for it it would only be refused: its controller asks again.
            let asked = asked.filter(|asked| !asked.lent);
            match asked.map(|asked| (named(&asked.reference), asked.reference)) {
                Some((Ok(parsed), name)) => drop(self.pull(&name, parsed, Asker::Controller)),
                _ => drop(std::fs::remove_file(entry.path())),
            }
        }
    }

    fn asked_for(&self, reference: &str) -> PathBuf {
        self.asked.join(Digest::of(reference.as_bytes()).hex())
    }

    /// Starts a pull, unless one goes on. The answer turns true when it has ended.
    fn pull(
        self: &Arc<Self>,
        reference: &str,
        parsed: Reference,
        asker: Asker,
    ) -> watch::Receiver<bool> {
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
        let loan = self.loans.of(&parsed);
        tokio::spawn(async move {
            let (pulling, name) = (Arc::clone(&images), reference.clone());
            let pull = async move { pulling.pull_in_turn(&name, &parsed, &loan, asker).await };
            // Whoever waits is told also of what should never happen.
            if tokio::spawn(pull).await.is_err() {
                images.ended(&reference, Some(broke_off()), false).await;
            }
            // Nobody may wait for it.
            let _ = done.send(true);
        });
        receiver
    }

    async fn pull_in_turn(&self, reference: &str, parsed: &Reference, loan: &Loan, asker: Asker) {
        let _turn = match &self.lease {
            None => None,
            Some(lease) => match lease.turn().await {
                Ok(turn) => Some(turn),
                // Whoever drives now finds the wish on disk.
                Err(_) => return self.known(reference, |known| known.going = None),
            },
        };
        let report = |progress: Progress| self.progress(reference, progress);
        let registries = self.registries.for_pull(loan.for_registry(parsed));
        let pulled = self.store.pull(parsed, &Platform::host(), &registries, &report).await;
        let awaits = pulled.as_ref().is_err_and(|error| loan.may_pass(error));
        let told = |error| failure(&error, &loan.remedy(parsed, &error));
        let failed = pulled.err().map(told);
        // Before anybody hears of the end, who might lend for the next pull.
        if failed.is_none() || asker == Asker::Controller {
            self.loans.drop_of(parsed);
        }
        self.ended(reference, failed, awaits).await;
    }

    fn progress(&self, reference: &str, progress: Progress) {
        let Progress::Layer { layer, step: LayerStep::Downloading { done, total } } = progress
        else {
            return;
        };
        self.known(reference, |known| known.layers.insert(layer, (done, total)));
    }

    async fn ended(&self, reference: &str, failure: Option<Failure>, awaits_login: bool) {
        self.known(reference, |known| {
            known.going = None;
            known.pulls += 1;
            (known.failure, known.awaits_login) = (failure, awaits_login);
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
            self.loans.drop_of(&wanted);
            return Ok(image);
        }
        if policy == PullPolicy::Never {
            return Err(StepError::Permanent(absent(reference)));
        }
        let name = if pinned.is_some() { wanted.to_string() } else { reference.to_owned() };
        let mut done = self.pull(&name, wanted.clone(), Asker::Task);
        // An error means that the pull's task is gone; what it left is looked at either way.
        let _ = done.wait_for(|done| *done).await;
        let (failure, awaits_login) =
            self.known(&name, |known| (known.failure.clone(), known.awaits_login));
        match failure {
            Some(failure)
                if failure.kind.may_pass() || failure.kind.is_missing() || awaits_login =>
            {
                Err(StepError::Retry(failure))
            }
            Some(failure) => {
                self.loans.drop_of(&wanted);
                Err(StepError::Permanent(failure))
            }
            None => self.find(&wanted).await?.ok_or_else(|| StepError::Retry(absent(&name))),
        }
    }

    /// Takes logins that are lent for pulls of images.
    pub(crate) fn lend(&self, logins: &[LentLogin]) -> Result<()> {
        for lent in logins {
            self.loans.take(&parse(&lent.image)?, lent);
        }
        Ok(())
    }

    /// No task that was to have this image is left.
    pub(crate) fn drop_login(&self, reference: &str) {
        if let Ok(parsed) = named(reference) {
            self.loans.drop_of(&parsed);
        }
    }

    /// This node's own login for a registry.
    pub(crate) async fn login(&self, registry: &str) -> Result<Option<Login>> {
        let failed = |error| {
            EngineError::failed(format!("cannot read the credentials for {registry}"), error)
        };
        self.registries.login(registry).await.map_err(failed)
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

#[cfg(test)]
mod tests;
