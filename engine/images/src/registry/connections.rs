//! Requests, and to which addresses they may be sent.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url};

use super::endpoint::{Endpoint, is_loopback};
use super::leads;
use super::misled::Misled;
use super::pace::Pace;
use super::reach::{self, Forbidden, Names, Reach, Resolver, literal};
use crate::error::{Error, Result};

/// Connections to registries, and to where those lead.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// For registries themselves, and wherever private ones lead.
    anywhere: Clients,
    /// For where public registries lead. Of its own, since connections are kept and used again.
    public_only: Clients,
    names: Arc<Names>,
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

impl Connections {
    /// One request. The connection is made only to an address that may be asked.
    pub(super) async fn send(
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
    pub(super) fn is_private(&self, home: &Url, response: &Response) -> bool {
        let there = response.remote_addr().map(|address| reach::reach(address.ip()));
        match literal(home) {
            Some(reach) => reach == Reach::Private,
            None => {
                let name = home.host_str().unwrap_or_default();
                there == Some(Reach::Private) && self.names.is_private(name)
            }
        }
    }

    /// The client for a URL. What a public registry leads to is not `trusted`: it must be public.
    pub(super) fn client(
        &self,
        endpoint: &Endpoint,
        target: &Url,
        trusted: bool,
    ) -> Result<&Client> {
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

/// An answer, and what is known of who gave it.
pub(super) struct Reply {
    pub(super) response: Response,
    /// The registry itself: nobody else may ask for a login.
    pub(super) is_own: bool,
    /// Whether the registry is at a private address, and may lead to others.
    pub(super) is_private: bool,
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
    pub(super) fn asks_who(&self) -> bool {
        self.is_own && self.response.status() == StatusCode::UNAUTHORIZED
    }
}

pub(super) fn misled(endpoint: &Endpoint, target: &Option<Url>, why: Misled) -> Error {
    let target = target.as_ref().map(leads::shown).unwrap_or_default();
    Error::Misled { registry: endpoint.name.clone(), target, why }
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

pub(super) fn unreachable(endpoint: &Endpoint, url: &str, source: reqwest::Error) -> Error {
    // A redirect's URL can carry a signature that is a secret; ours cannot.
    let source = source.without_url();
    Error::Unreachable { registry: endpoint.name.clone(), url: url.to_owned(), source }
}

pub(super) async fn read_limited(
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
