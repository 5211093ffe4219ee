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
mod download;
mod endpoint;
mod leads;
pub(crate) mod misled;
mod pace;
mod reach;
mod retry;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, LOCATION, RANGE};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url};

use auth::Keyring;
pub(crate) use endpoint::Endpoint;
pub use endpoint::RegistryConfig;
use endpoint::is_loopback;
pub use misled::Misled;
use pace::Pace;
use reach::{Forbidden, Names, Reach, Resolver, literal};
use retry::{Retry, asked_to_wait, may_pass};

use crate::credentials::{Credentials, Login};
use crate::error::{Error, Result};

/// As many as browsers follow.
const REDIRECTS: usize = 10;

/// How registries are reached, and as whom. Cheap to make; good for any number of pulls.
#[derive(Debug)]
pub struct Registries {
    config: RegistryConfig,
    credentials: Credentials,
    /// For registries themselves, and wherever private ones lead.
    anywhere: Clients,
    /// For where public registries lead. Of its own, since connections are kept and used again.
    public_only: Clients,
    names: Arc<Names>,
    keyring: Keyring,
}

#[derive(Debug, Default)]
struct Clients {
    /// For this machine: no proxy, no TLS.
    direct: OnceLock<Client>,
    /// For plain HTTP elsewhere: works without any CA certificate.
    plain: OnceLock<Client>,
    /// Reads the system's CA certificates, so only when TLS is needed.
    secure: OnceLock<Client>,
}

/// An answer, and what is known of who gave it.
struct Reply {
    response: Response,
    /// The registry itself: nobody else may ask for a login.
    is_own: bool,
    /// Whether the registry is at a private address, and may lead to others.
    is_private: bool,
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
        Ok(Self {
            config,
            credentials,
            anywhere: Clients::default(),
            public_only: Clients::default(),
            names: Arc::default(),
            keyring: Keyring::default(),
        })
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
        let header = self.answer_to(&endpoint, "", &first, Some(&login)).await?;
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
        match self.authorize(endpoint, what.repository, &first).await? {
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
            let client = self.client(endpoint, &target, trusted)?;
            let request = client.get(target.clone()).headers(headers.clone());
            let response = self.send(endpoint, &target, request).await?;
            if hop == 0 {
                is_private = self.is_private(&home, &response);
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

    /// One request. The connection is made only to an address that may be asked.
    async fn send(
        &self,
        endpoint: &Endpoint,
        target: &Url,
        request: RequestBuilder,
    ) -> Result<Response> {
        let _asking = self.names.asking(target.host_str().unwrap_or_default());
        request.send().await.map_err(|source| match Forbidden::within(&source) {
            Some(Forbidden(Reach::Never)) => {
                misled(endpoint, &Some(target.clone()), Misled::Forbidden)
            }
            Some(_) => misled(endpoint, &Some(target.clone()), Misled::Private),
            None => unreachable(endpoint, &leads::shown(target), source),
        })
    }

    /// Whether the registry is on a network of somebody's own. Behind a proxy nobody can tell, so
    /// it counts as public there.
    fn is_private(&self, home: &Url, response: &Response) -> bool {
        let there = response.remote_addr().map(|address| reach::reach(address.ip()));
        match literal(home) {
            Some(reach) => reach == Reach::Private,
            None => {
                let name = home.host_str().unwrap_or_default();
                there == Some(Reach::Private) && self.names.is_private(name)
            }
        }
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

    /// The client for a URL. What a public registry leads to is not `trusted`: it must be public.
    fn client(&self, endpoint: &Endpoint, target: &Url, trusted: bool) -> Result<&Client> {
        match (literal(target), trusted) {
            (Some(Reach::Never), _) => {
                return Err(misled(endpoint, &Some(target.clone()), Misled::Forbidden));
            }
            (Some(Reach::Private), false) => {
                return Err(misled(endpoint, &Some(target.clone()), Misled::Private));
            }
            _ => {}
        }
        let clients = if trusted { &self.anywhere } else { &self.public_only };
        let loopback = target.host_str().is_some_and(is_loopback);
        let resolver = Resolver { names: Arc::clone(&self.names), public_only: !trusted };
        clients.get(loopback, target.scheme(), resolver).map_err(Error::Client)
    }
}

impl Clients {
    /// Made when first needed: reading the CA certificates takes longer than a small pull.
    fn get(&self, loopback: bool, scheme: &str, resolver: Resolver) -> reqwest::Result<&Client> {
        let (slot, make): (_, fn(ClientBuilder) -> ClientBuilder) = match (loopback, scheme) {
            (true, "http") => (&self.direct, ClientBuilder::no_proxy),
            (_, "http") => (&self.plain, |builder| builder),
            _ => (&self.secure, |builder| builder.tls_backend_preconfigured(tls(system_roots()))),
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = make(builder().dns_resolver(resolver)).build()?;
        Ok(slot.get_or_init(|| client))
    }
}

impl Reply {
    /// Whether it is the registry, and nobody else, who wants to know who asks.
    fn asks_who(&self) -> bool {
        self.is_own && self.response.status() == StatusCode::UNAUTHORIZED
    }
}

fn misled(endpoint: &Endpoint, target: &Option<Url>, why: Misled) -> Error {
    let target = target.as_ref().map(leads::shown).unwrap_or_default();
    Error::Misled { registry: endpoint.name.clone(), target, why }
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
    if let Ok(value) = proof.parse() {
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

fn builder() -> ClientBuilder {
    // Until other roots replace these, TLS trusts nobody: plain clients need no certificates.
    Client::builder()
        .user_agent(concat!("keel/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .read_timeout(Duration::from_secs(60))
        .tls_backend_preconfigured(tls(rustls::RootCertStore::empty()))
}

/// For the plain clients of tests.
#[cfg(feature = "testing")]
pub(crate) fn trusting_nobody() -> rustls::ClientConfig {
    tls(rustls::RootCertStore::empty())
}

fn system_roots() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    // What cannot be read is left out: one broken file must not stop pulls that do not need it.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// With ring by name, so that no process-wide default is needed or touched.
fn tls(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring knows the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The client is built without HTTP/2, which servers would choose if it were offered.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn unreachable(endpoint: &Endpoint, url: &str, source: reqwest::Error) -> Error {
    // A redirect's URL can carry a signature that is a secret; ours cannot.
    let source = source.without_url();
    Error::Unreachable { registry: endpoint.name.clone(), url: url.to_owned(), source }
}

/// The messages in a registry's JSON error answer, on one line.
fn detail(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let messages = errors.iter().filter_map(|error| error["message"].as_str());
    messages.collect::<Vec<_>>().join("; ").replace('\n', " ")
}

async fn read_limited(
    mut response: Response,
    limit: u64,
    what: &'static str,
    endpoint: &Endpoint,
) -> Result<Vec<u8>> {
    let url = response.url().to_string();
    let (mut body, pace) = (Vec::new(), Pace::start());
    while let Some(chunk) =
        response.chunk().await.map_err(|source| unreachable(endpoint, &url, source))?
    {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(Error::TooLarge { what, name: endpoint.name.clone(), limit });
        }
        body.extend_from_slice(&chunk);
        if pace.is_too_slow(body.len() as u64) {
            return Err(Error::TooSlow { what, registry: endpoint.name.clone() });
        }
    }
    Ok(body)
}
