//! Manifests and blobs, whole or as they come.

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Response, StatusCode};

use super::connections::{read_limited, unreachable};
use super::pace::Pace;
use super::retry::Retry;
use super::{Endpoint, Question, Registries};
use crate::error::{Error, Result};
use crate::intake::Feed;
use crate::manifest::{ACCEPTED, Descriptor};
use keel_names::Digest;

/// No honest manifest or configuration is larger.
const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;

/// A manifest or index as the registry sent it.
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
}

impl Registries {
    /// A manifest by tag or digest. By digest it is checked; by tag the registry is believed.
    pub(crate) async fn manifest(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        name: &str,
    ) -> Result<Document> {
        let question = Question {
            repository,
            path: format!("manifests/{name}"),
            accept: Some(ACCEPTED),
            from: 0,
        };
        let response = self.ask(endpoint, &question).await.map_err(|error| match error {
            Error::NotInRegistry { reference, registry } => {
                let separator = if name.contains(':') { '@' } else { ':' };
                let reference = format!("{reference}{separator}{name}");
                Error::NotInRegistry { reference, registry }
            }
            other => other,
        })?;
        let media_type = header(&response, CONTENT_TYPE.as_str());
        let bytes = read_limited(response, DOCUMENT_LIMIT, "manifest", endpoint).await?;
        let digest = Digest::of(&bytes);
        match name.parse() {
            Ok(expected) if expected != digest => {
                Err(wrong("manifest", endpoint, expected, digest))
            }
            _ => Ok(Document { bytes, media_type, digest }),
        }
    }

    /// A manifest that an index lists, checked.
    pub(crate) async fn listed(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        entry: &Descriptor,
    ) -> Result<Document> {
        let document = self.manifest(endpoint, repository, &entry.digest.to_string()).await?;
        check("manifest", endpoint, entry, document.digest, document.bytes.len() as u64)?;
        Ok(document)
    }

    /// A small blob, checked.
    pub(crate) async fn document(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        blob: &Descriptor,
    ) -> Result<Vec<u8>> {
        let path = format!("blobs/{}", blob.digest);
        let question = Question { repository, path, accept: None, from: 0 };
        let response = self.ask(endpoint, &question).await?;
        let bytes = read_limited(response, DOCUMENT_LIMIT, "configuration", endpoint).await?;
        check("configuration", endpoint, blob, Digest::of(&bytes), bytes.len() as u64)?;
        Ok(bytes)
    }

    /// A blob's bytes, in order and none twice, through broken connections. Not checked.
    pub(crate) async fn blob(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        blob: &Descriptor,
        feed: &mut Feed<'_>,
    ) -> Result<()> {
        let (mut retry, pace) = (Retry::default(), Pace::start());
        let mut done = 0;
        loop {
            let path = format!("blobs/{}", blob.digest);
            let question = Question { repository, path, accept: None, from: done };
            let response = self.ask(endpoint, &question).await?;
            let before = done;
            let Err(broken) = stream(endpoint, blob, response, &mut done, &pace, feed).await else {
                return Ok(());
            };
            if done > before {
                retry.progressed();
            }
            let slow = matches!(broken, Error::TooSlow { .. });
            let pause = match broken.is_transient() && !slow {
                true => retry.pause(None),
                false => None,
            };
            let Some(pause) = pause else { return Err(broken) };
            feed.interrupted(cause(&broken));
            tokio::time::sleep(pause).await;
        }
    }
}

/// Hands on one answer's bytes after the first `done`; what a server repeats is skipped.
async fn stream(
    endpoint: &Endpoint,
    blob: &Descriptor,
    mut response: Response,
    done: &mut u64,
    pace: &Pace,
    feed: &mut Feed<'_>,
) -> Result<()> {
    let url = format!("{}/v2/…/blobs/{}", endpoint.base, blob.digest);
    let mut skip = match starts_at(&response) {
        Some(start) => done.checked_sub(start).ok_or_else(|| Error::Answer {
            registry: endpoint.name.clone(),
            url: url.clone(),
            status: response.status().as_u16(),
            detail: "it sends another range than it was asked for".into(),
        })?,
        None => *done,
    };
    loop {
        let chunk = response.chunk().await;
        let Some(mut chunk) = chunk.map_err(|source| unreachable(endpoint, &url, source))? else {
            return Ok(());
        };
        if pace.is_too_slow(*done) {
            return Err(Error::TooSlow { what: "layer", registry: endpoint.name.clone() });
        }
        let known = skip.min(chunk.len() as u64);
        let fresh = chunk.split_off(known as usize);
        skip -= known;
        if fresh.is_empty() {
            continue;
        }
        *done += fresh.len() as u64;
        if *done > blob.size {
            return Err(size_error("layer", endpoint, blob, *done));
        }
        if !feed.take(fresh).await {
            return Ok(());
        }
    }
}

/// Where a partial answer starts; `None` for a whole one.
fn starts_at(response: &Response) -> Option<u64> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return None;
    }
    let range = header(response, CONTENT_RANGE.as_str());
    let start = range.strip_prefix("bytes ")?.split('-').next()?;
    start.parse().ok()
}

fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

/// Whether content is what its descriptor says.
fn check(
    what: &'static str,
    endpoint: &Endpoint,
    blob: &Descriptor,
    digest: Digest,
    size: u64,
) -> Result<()> {
    if digest != blob.digest {
        return Err(wrong(what, endpoint, blob.digest, digest));
    }
    match size == blob.size {
        true => Ok(()),
        false => Err(size_error(what, endpoint, blob, size)),
    }
}

fn size_error(what: &'static str, endpoint: &Endpoint, blob: &Descriptor, got: u64) -> Error {
    let (digest, registry) = (blob.digest, endpoint.name.clone());
    Error::WrongSize { what, digest, registry, expected: blob.size, got }
}

fn wrong(what: &'static str, endpoint: &Endpoint, expected: Digest, got: Digest) -> Error {
    Error::WrongDigest { what, registry: endpoint.name.clone(), expected, got }
}
