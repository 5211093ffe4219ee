//! A thin client of the registry protocol (OCI distribution specification, Docker Registry v2).
//!
//! # Invariants
//! - What comes back has been checked by digest, or is checked by who takes it: nothing is trusted
//!   for having come over TLS.
//! - Nothing is read without a limit.
//! - Connections to this machine never go through a proxy.
//! - A login is shown to the registry's own origin, and to a token service that is the registry's;
//!   only the registry's own answers can ask for it.

mod auth;
mod challenge;
mod connections;
mod download;
mod endpoint;
mod leads;
pub(crate) mod misled;
mod pace;
mod reach;
mod retry;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Response, StatusCode, Url};

use auth::Keyring;
#[cfg(feature = "testing")]
pub(crate) use connections::trusting_nobody;
use connections::{Connections, Reply, misled, read_limited};
pub(crate) use endpoint::Endpoint;
pub use endpoint::RegistryConfig;
pub use misled::Misled;
use retry::{Retry, asked_to_wait, may_pass};

use crate::credentials::Credentials;
use crate::error::{Error, Result};
use keel_engine::Login;
use std::sync::Arc;

/// As many as browsers follow.
const REDIRECTS: usize = 10;

/// How registries are reached, and as whom. Each pull has its own ([`Registries::for_pull`]).
#[derive(Debug)]
pub struct Registries {
    config: RegistryConfig,
    credentials: Credentials,
    connections: Arc<Connections>,
    keyring: Keyring,
}

/// One question to a registry.
pub(crate) struct Question<'a> {
    pub(crate) repository: &'a str,
    /// Below the repository: `manifests/latest`, `blobs/sha256:…`.
    pub(crate) path: String,
    pub(crate) accept: Option<&'static str>,
    /// Only what comes after so many bytes.
    pub(crate) from: u64,
}

impl Registries {
    /// With this configuration, as whoever the credentials say.
    pub fn new(config: RegistryConfig, credentials: Credentials) -> Result<Self> {
        config.check()?;
        Ok(Self { config, credentials, connections: Arc::default(), keyring: Keyring::default() })
    }

    /// The same for one more pull, which shows nothing of what those before it were let in with: a login that is
    /// replaced, taken back or lent is not used beyond its time. With a lent login, as that at its registry.
    #[must_use]
    pub fn for_pull(&self, lent: Option<(&str, Login)>) -> Self {
        let credentials = match lent {
            Some((registry, login)) => self.credentials.lent(registry, login),
            None => self.credentials.clone(),
        };
        let (config, connections) = (self.config.clone(), Arc::clone(&self.connections));
        Self { config, credentials, connections, keyring: Keyring::default() }
    }

    /// Who is asking at this registry, as far as it is stored here.
    pub async fn login(&self, registry: &str) -> Result<Option<Login>> {
        self.credentials.find(registry).await
    }

    /// Whom to ask for a registry's content, in order.
    pub(crate) fn endpoints(&self, registry: &str) -> Result<Vec<Endpoint>> {
        self.config.endpoints(registry)
    }

    /// Whether the registry lets this user in. Stores nothing.
    pub async fn check_login(&self, registry: &str, user: &str, password: &str) -> Result<()> {
        let endpoint = self.config.upstream(registry);
        let login = Login::Password { user: user.into(), password: password.into() };
        let url = format!("{}/v2/", endpoint.base);
        let first = self.follow(&endpoint, &url, HeaderMap::new()).await?;
        if !first.asks_who() {
            return self.judge(&endpoint, "", &url, first.response).await.map(drop);
        }
        let denied = || Error::Denied {
            registry: registry.to_owned(),
            repository: String::new(),
            with_login: true,
        };
        let header =
            auth::answer_to(&self.connections, &endpoint, "", &first, Some(&login)).await?;
        let headers = authorization(&header.ok_or_else(denied)?);
        let second = self.follow(&endpoint, &url, headers).await?.response;
        match second.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(denied()),
            _ => self.judge(&endpoint, "", &url, second).await.map(drop),
        }
    }

    async fn login_for(&self, endpoint: &Endpoint) -> Result<Option<Login>> {
        self.credentials.find(&endpoint.name).await
    }

    /// Asks, with whatever proof is wanted, and again after failures that may pass.
    pub(crate) async fn ask(&self, endpoint: &Endpoint, what: &Question<'_>) -> Result<Response> {
        let url = format!("{}/v2/{}/{}", endpoint.base, what.repository, what.path);
        let mut retry = Retry::default();
        loop {
            let outcome = self.ask_once(endpoint, what, &url).await;
            let pause = match &outcome {
                Ok(response) if may_pass(response.status()) => {
                    retry.pause(asked_to_wait(response.headers()))
                }
                Err(error) if error.is_transient() => retry.pause(None),
                _ => None,
            };
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return self.judge(endpoint, what.repository, &url, outcome?).await,
            }
        }
    }

    /// One try; a 401 to an old token or to none is answered once.
    async fn ask_once(
        &self,
        endpoint: &Endpoint,
        what: &Question<'_>,
        url: &str,
    ) -> Result<Response> {
        let known = self.keyring.get(endpoint, what.repository);
        let first = self.follow(endpoint, url, what.headers(known.as_deref())).await?;
        if !first.asks_who() {
            return Ok(first.response);
        }
        let login = self.login_for(endpoint).await?;
        let (connections, keyring) = (&self.connections, &self.keyring);
        let repository = what.repository;
        match keyring.authorize(connections, endpoint, repository, &first, login.as_ref()).await? {
            Some(fresh) => {
                Ok(self.follow(endpoint, url, what.headers(Some(&fresh))).await?.response)
            }
            None => Ok(first.response),
        }
    }

    /// Follows redirects, and shows our proof to nobody but the registry itself.
    async fn follow(
        &self,
        endpoint: &Endpoint,
        url: &str,
        mut headers: HeaderMap,
    ) -> Result<Reply> {
        let home = Url::parse(url)
            .map_err(|_| Error::Config { value: url.to_owned(), wanted: "a registry's address" })?;
        let (mut target, mut trusted, mut is_private) = (home.clone(), true, false);
        for hop in 0..REDIRECTS {
            let client = self.connections.client(endpoint, &target, trusted)?;
            let request = client.get(target.clone()).headers(headers.clone());
            let response = self.connections.send(endpoint, &target, request).await?;
            if hop == 0 {
                is_private = self.connections.is_private(&home, &response);
            }
            let is_own = target.origin() == home.origin();
            let location = match response.status().is_redirection() {
                true => response.headers().get(LOCATION).and_then(|next| next.to_str().ok()),
                false => None,
            };
            let Some(location) = location else {
                return Ok(Reply { response, is_own, is_private });
            };
            target = leads::next(&target, location)
                .map_err(|why| misled(endpoint, &target.join(location).ok(), why))?;
            let at_home = target.origin() == home.origin();
            if !at_home {
                headers.remove(AUTHORIZATION);
            }
            trusted = at_home || is_private || leads::is_named(endpoint, &target);
        }
        let detail = "too many redirects".to_owned();
        Err(Error::Answer { registry: endpoint.name.clone(), url: url.into(), status: 302, detail })
    }

    /// Turns every answer but a good one into an error that says what the registry means.
    async fn judge(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        url: &str,
        response: Response,
    ) -> Result<Response> {
        let registry = endpoint.name.clone();
        let repository = repository.to_owned();
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let with_login = self.login_for(endpoint).await?.is_some();
                Err(Error::Denied { registry, repository, with_login })
            }
            StatusCode::NOT_FOUND => Err(Error::NotInRegistry { reference: repository, registry }),
            status => {
                let body = read_limited(response, 64 * 1024, "error answer", endpoint).await;
                let detail = body.map(|body| detail(&body)).unwrap_or_default();
                let url = url.to_owned();
                Err(Error::Answer { registry, url, status: status.as_u16(), detail })
            }
        }
    }
}

impl Question<'_> {
    fn headers(&self, proof: Option<&str>) -> HeaderMap {
        let mut headers = proof.map(authorization).unwrap_or_default();
        if let Some(accept) = self.accept {
            headers.insert(ACCEPT, accept.parse().expect("it is a constant of ours"));
        }
        if self.from > 0 {
            let range = format!("bytes={}-", self.from);
            headers.insert(RANGE, range.parse().expect("it is ASCII"));
        }
        headers
    }
}

fn authorization(proof: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A token that cannot stand in a header is none; the registry will say so.
    if let Ok(mut value) = proof.parse::<HeaderValue>() {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

/// The messages in a registry's JSON error answer, on one line.
fn detail(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages = errors.iter().filter_map(|error| error["message"].as_str());
    messages.collect::<Vec<_>>().join("; ").replace('\n', " ")
}
