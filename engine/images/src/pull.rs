//! From a name to an image on this node: resolve, fetch what is missing, check, write the name.
//!
//! # Invariants
//! - The name is written last. Dropped or killed before, a pull has changed no name, and what it
//!   had finished serves the next one.
//! - Equal layers are fetched once, however many pulls of this process want them.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::hello;
use crate::image::Image;
use crate::intake::{self, Order, Taken};
use crate::manifest::{self, Descriptor, Document, Manifest};
use crate::platform::Platform;
use crate::progress::{LayerStep, Progress, Report};
use crate::registry::{Endpoint, Registries};
use crate::store::Store;
use keel_names::Digest;
use keel_names::Reference;

/// Layers of one image that are fetched at a time.
const PARALLEL: usize = 3;
/// How often what was fetched may be removed by others before it is given up.
const ROUNDS: usize = 3;

/// Where an image's parts come from.
struct Origin<'a> {
    registries: &'a Registries,
    /// The one that knew the image first, then those that may have its parts, too.
    endpoints: Vec<Endpoint>,
    reference: &'a Reference,
    report: Report<'a>,
}

/// What a name stands for, with the documents that say so.
struct Resolved {
    digest: Digest,
    manifest_digest: Digest,
    documents: Vec<Vec<u8>>,
    manifest: Manifest,
}

/// A layer to be fetched.
#[derive(Clone)]
struct Layer {
    blob: Descriptor,
    diff_id: Digest,
}

impl Store {
    /// Fetches what a name stands for in its registry (or a mirror of it) and names it here.
    ///
    /// Content that is here already is not fetched again. The future may be dropped at any time.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: &Platform,
        registries: &Registries,
        report: Report<'_>,
    ) -> Result<Image> {
        if reference.is_built_in() {
            return self.pull_built_in(reference).await;
        }
        if let Some(image) = self.pinned_here(reference, platform).await? {
            return Ok(image);
        }
        let endpoints = registries.endpoints(reference.registry())?;
        let mut refused = None;
        for at in 0..endpoints.len() {
            match resolve(registries, &endpoints[at], reference, platform).await {
                Ok(resolved) => {
                    let endpoints = starting_at(&endpoints, at);
                    let origin = Origin { registries, endpoints, reference, report };
                    return self.fetch(&origin, resolved, platform).await;
                }
                Err(error) => refused = Some(more_telling(refused, error)),
            }
        }
        Err(refused.expect("a registry is always asked itself, after its mirrors"))
    }

    async fn pull_built_in(&self, reference: &Reference) -> Result<Image> {
        let (store, reference) = (self.clone(), reference.clone());
        keel_blocking::run(move || match store.executable() {
            Some(executable) => hello::resolve(&store, &reference, executable),
            None => Err(Error::NotBuiltIn { reference }),
        })
        .await
    }

    /// Content of a known digest can be nothing else: no registry needs to be asked.
    async fn pinned_here(&self, name: &Reference, platform: &Platform) -> Result<Option<Image>> {
        let Some(digest) = name.digest() else { return Ok(None) };
        let (store, name, platform) = (self.clone(), name.clone(), platform.clone());
        keel_blocking::run(move || match store.find(digest, &platform)? {
            Some(image) => store.commit(&name, image.digest, image.manifest),
            None => Ok(None),
        })
        .await
    }

    async fn fetch(
        &self,
        origin: &Origin<'_>,
        resolved: Resolved,
        platform: &Platform,
    ) -> Result<Image> {
        let resolved = Arc::new(resolved);
        for _ in 0..ROUNDS {
            let layers = self.fetch_config(origin, &resolved, platform).await?;
            let digest = resolved.digest;
            (origin.report)(Progress::Resolved { digest, layers: layers.len() });
            // Collected, since a future that holds the closure cannot be sent to another thread.
            let fetches: Vec<_> =
                layers.iter().map(|layer| self.fetch_layer(origin, layer)).collect();
            stream::iter(fetches).buffer_unordered(PARALLEL).try_collect::<()>().await?;
            let (store, name) = (self.clone(), origin.reference.clone());
            let resolved = Arc::clone(&resolved);
            let named = keel_blocking::run(move || {
                for document in &resolved.documents {
                    store.put_document(document)?;
                }
                store.commit(&name, resolved.digest, resolved.manifest_digest)
            });
            if let Some(image) = named.await? {
                return Ok(image);
            }
        }
        Err(Error::Contended { reference: origin.reference.clone() })
    }

    /// The configuration, kept here, and the layers that it and the manifest agree on.
    async fn fetch_config(
        &self,
        origin: &Origin<'_>,
        resolved: &Resolved,
        platform: &Platform,
    ) -> Result<Vec<Layer>> {
        let blob = &resolved.manifest.config;
        let (store, digest) = (self.clone(), blob.digest);
        let bytes = match keel_blocking::run(move || store.document(digest)).await? {
            Some(bytes) => bytes,
            None => {
                let bytes = origin.document(blob).await?;
                let store = self.clone();
                keel_blocking::run(move || store.put_document(&bytes).map(|_| bytes)).await?
            }
        };
        let unusable = |problem: String| Error::Unusable {
            what: "the configuration",
            name: origin.reference.to_string(),
            problem,
        };
        if bytes.len() as u64 != blob.size {
            return Err(unusable("its manifest gives another size".into()));
        }
        let config = ConfigFile::parse(&bytes).map_err(unusable)?;
        runs_on(platform, &config, origin.reference)?;
        layers(&resolved.manifest, config).map_err(unusable)
    }

    async fn fetch_layer(&self, origin: &Origin<'_>, layer: &Layer) -> Result<()> {
        let turn = self.turn(layer.diff_id);
        let _turn = turn.lock().await;
        let tell = |step| (origin.report)(Progress::Layer { layer: layer.blob.digest, step });
        let (store, diff_id) = (self.clone(), layer.diff_id);
        if keel_blocking::run(move || store.has_layer(diff_id)).await {
            tell(LayerStep::Exists);
            return Ok(());
        }
        let taken = match self.take_kept(origin, layer).await? {
            Some(taken) => taken,
            None => self.take_from_any(origin, layer).await?,
        };
        let (store, layer) = (self.clone(), layer.clone());
        keel_blocking::run(move || store.place_layer(taken, layer.blob.digest, layer.diff_id))
            .await?;
        tell(LayerStep::Done);
        Ok(())
    }

    /// Unpacks a blob that is here already; one that the disk has spoilt is dropped.
    async fn take_kept(&self, origin: &Origin<'_>, layer: &Layer) -> Result<Option<Taken>> {
        let (store, digest) = (self.clone(), layer.blob.digest);
        let kept = keel_blocking::run(move || store.blob_stream(digest)).await;
        let Some(mut file) = kept else { return Ok(None) };
        let order = layer.order("this node", false);
        let (mut feed, task) = intake::start(self.staging(), order, origin.report);
        loop {
            let (read, back) = keel_blocking::run(move || {
                let mut buffer = vec![0; 256 * 1024];
                let read = file.read(&mut buffer).map_err(Error::io("read", "a blob"))?;
                buffer.truncate(read);
                Ok::<_, Error>((Bytes::from(buffer), file))
            })
            .await?;
            if read.is_empty() || !feed.take(read).await {
                break;
            }
            file = back;
        }
        feed.finish().await;
        match task.await {
            Err(Error::WrongDigest { .. } | Error::WrongSize { .. }) => {
                let store = self.clone();
                keel_blocking::run(move || store.drop_blob(digest)).await?;
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    async fn take_from_any(&self, origin: &Origin<'_>, layer: &Layer) -> Result<Taken> {
        let mut refused = None;
        for endpoint in &origin.endpoints {
            match self.take(origin, endpoint, layer).await {
                Ok(taken) => return Ok(taken),
                // The bytes were right; others would send the same.
                Err(error @ (Error::Unpack { .. } | Error::Io { .. })) => return Err(error),
                Err(error) => refused = Some(more_telling(refused, error)),
            }
        }
        Err(refused.expect("there is always one to ask"))
    }

    async fn take(&self, origin: &Origin<'_>, endpoint: &Endpoint, layer: &Layer) -> Result<Taken> {
        let order = layer.order(&endpoint.name, true);
        let (mut feed, task) = intake::start(self.staging(), order, origin.report);
        let repository = origin.reference.repository();
        match origin.registries.blob(endpoint, repository, &layer.blob, &mut feed).await {
            Ok(()) => feed.finish().await,
            Err(error) => {
                drop(feed);
                // Waited for, so that nothing of it is left when the caller hears.
                let _ = task.await;
                return Err(error);
            }
        }
        task.await
    }
}

impl Layer {
    fn order(&self, sender: &str, keep_blob: bool) -> Order {
        let (layer, diff_id) = (self.blob.clone(), self.diff_id);
        Order { layer, diff_id, sender: sender.to_owned(), keep_blob }
    }
}

impl Origin<'_> {
    async fn document(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        let mut refused = None;
        for endpoint in &self.endpoints {
            match self.registries.document(endpoint, self.reference.repository(), blob).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => refused = Some(more_telling(refused, error)),
            }
        }
        Err(refused.expect("there is always one to ask"))
    }
}

/// Finds the manifest for the platform.
async fn resolve(
    registries: &Registries,
    endpoint: &Endpoint,
    reference: &Reference,
    platform: &Platform,
) -> Result<Resolved> {
    let repository = reference.repository();
    let name = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    };
    let unusable =
        |problem| Error::Unusable { what: "the manifest", name: reference.to_string(), problem };
    let first = registries.manifest(endpoint, repository, &name).await?;
    let digest = first.digest;
    let index = match manifest::parse(&first.bytes, &first.media_type).map_err(unusable)? {
        Document::Manifest(manifest) => {
            let documents = vec![first.bytes];
            return Ok(Resolved { digest, manifest_digest: digest, documents, manifest });
        }
        Document::Index(index) => index,
    };
    let chosen = manifest::choose(&index, platform).map_err(|offered| Error::NoPlatform {
        name: reference.to_string(),
        wanted: platform.clone(),
        offered,
    })?;
    let second = registries.listed(endpoint, repository, chosen).await?;
    match manifest::parse(&second.bytes, &second.media_type).map_err(unusable)? {
        Document::Manifest(manifest) => {
            let documents = vec![first.bytes, second.bytes];
            Ok(Resolved { digest, manifest_digest: second.digest, documents, manifest })
        }
        Document::Index(_) => Err(unusable("its index lists another index".into())),
    }
}

/// What an index says of an image may be wrong, and one without an index says it only here.
fn runs_on(platform: &Platform, config: &ConfigFile, name: &Reference) -> Result<()> {
    let fits = |theirs: &Platform| {
        (&theirs.os, &theirs.architecture) == (&platform.os, &platform.architecture)
    };
    match config.platform() {
        Some(theirs) if !fits(&theirs) => Err(Error::NoPlatform {
            name: name.to_string(),
            wanted: platform.clone(),
            offered: vec![theirs],
        }),
        _ => Ok(()),
    }
}

fn layers(manifest: &Manifest, config: ConfigFile) -> Result<Vec<Layer>, String> {
    let diff_ids = config.rootfs.diff_ids;
    if config.rootfs.kind != "layers" || diff_ids.len() != manifest.layers.len() {
        return Err(format!(
            "it lists {} layers, its manifest {}",
            diff_ids.len(),
            manifest.layers.len()
        ));
    }
    let pairs = manifest.layers.iter().cloned().zip(diff_ids);
    Ok(pairs.map(|(blob, diff_id)| Layer { blob, diff_id }).collect())
}

/// Of a mirror's answer and a registry that cannot be reached, the answer says more.
fn more_telling(before: Option<Error>, now: Error) -> Error {
    match (before, now) {
        (Some(answer), Error::Unreachable { .. })
            if !matches!(answer, Error::Unreachable { .. }) =>
        {
            answer
        }
        (_, now) => now,
    }
}

/// The one that answered first, and the others after it.
fn starting_at(endpoints: &[Endpoint], at: usize) -> Vec<Endpoint> {
    let mut endpoints = endpoints.to_vec();
    endpoints.rotate_left(at);
    endpoints
}
