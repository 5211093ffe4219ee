//! The way to etcd: its JSON gateway over HTTP, at whichever member answers.

use super::super::{Result, StoreError};
use super::shapes::Complaint;
use reqwest::{Certificate, Client, Identity, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a member may take before the next one is asked: less than a lead lasts.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_millis(1500);

/// Where etcd is, and how it knows us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdConfig {
    /// URLs of its members.
    pub endpoints: Vec<String>,
    /// Files of TLS, where it is spoken.
    pub tls: Option<EtcdTls>,
    /// What all keys of the pool begin with.
    pub prefix: String,
}

/// Files of TLS: PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdTls {
    /// Whom members are certified by.
    pub ca: PathBuf,
    /// Our own certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The members of one etcd.
pub(super) struct Gateway {
    client: Client,
    endpoints: Vec<String>,
    /// Who answered last.
    first: AtomicUsize,
}

impl Gateway {
    pub(super) fn new(config: &EtcdConfig) -> Result<Self> {
        // If somebody chose a provider already, that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().connect_timeout(CONNECT).no_proxy();
        if let Some(tls) = &config.tls {
            let unusable = |path: &Path| {
                let path = path.to_owned();
                move |error: reqwest::Error| StoreError::Etcd {
                    why: format!("`{}` cannot be used: {}", path.display(), last_cause(&error)),
                }
            };
            let roots = Certificate::from_pem_bundle(&read(&tls.ca)?).map_err(unusable(&tls.ca))?;
            let own = [read(&tls.key)?, read(&tls.cert)?].concat();
            let own = Identity::from_pem(&own).map_err(unusable(&tls.cert))?;
            builder = builder.tls_certs_only(roots).identity(own);
        }
        let client = builder.build().map_err(|error| StoreError::Etcd {
            why: format!("no client can be made: {}", last_cause(&error)),
        })?;
        let endpoints = config.endpoints.iter().map(|one| one.trim_end_matches('/').to_owned());
        Ok(Self { client, endpoints: endpoints.collect(), first: AtomicUsize::new(0) })
    }

    /// Asks the members, one after the other, until one answers.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let answer = self.each(path, body, Some(ANSWER), async |response| {
            response.bytes().await.map_err(|error| last_cause(&error))
        });
        let bytes = answer.await?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Etcd {
            why: format!("its answer to {path} cannot be read: {error}"),
        })
    }

    /// Opens a stream of answers.
    pub(super) async fn stream(&self, path: &str, body: &Value) -> Result<Response> {
        self.each(path, body, None, async |response| Ok(response)).await
    }

    async fn each<T>(
        &self,
        path: &str,
        body: &Value,
        limit: Option<Duration>,
        read: impl AsyncFn(Response) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let (count, first) = (self.endpoints.len(), self.first.load(Ordering::Relaxed));
        let mut why = "no endpoint is configured".to_owned();
        for index in (0..count).map(|step| (first + step) % count) {
            let endpoint = &self.endpoints[index];
            match self.once(endpoint, path, body, limit, &read).await {
                Ok(answer) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Refused::Here(error)) => why = format!("{endpoint}: {error}"),
                Err(Refused::Everywhere(why)) => return Err(StoreError::Etcd { why }),
            }
        }
        Err(StoreError::Away { endpoints: self.endpoints.join(", "), why })
    }

    async fn once<T>(
        &self,
        endpoint: &str,
        path: &str,
        body: &Value,
        limit: Option<Duration>,
        read: &impl AsyncFn(Response) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, Refused> {
        let mut request = self.client.post(format!("{endpoint}{path}")).body(body.to_string());
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let response = request.send().await.map_err(|error| Refused::Here(last_cause(&error)))?;
        let status = response.status();
        if status.is_success() {
            return read(response).await.map_err(Refused::Here);
        }
        let said = response.bytes().await.unwrap_or_default();
        let said = serde_json::from_slice::<Complaint>(&said).map(|said| said.error);
        let why = said.unwrap_or_else(|_| format!("it answers {status}"));
        let is_ours = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        Err(if is_ours { Refused::Everywhere(why) } else { Refused::Here(why) })
    }
}

enum Refused {
    /// By one member; another may do it.
    Here(String),
    /// Because of what was asked.
    Everywhere(String),
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| StoreError::Io { what: "read", path: path.to_owned(), source };
    std::fs::read(path).map_err(failed)
}

/// The last cause says what happened, the rest is our client's anatomy.
fn last_cause(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
