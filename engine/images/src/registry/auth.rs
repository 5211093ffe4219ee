//! Turns a registry's challenge and our login into an `Authorization` header.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Client, Url};
use serde::Deserialize;

use super::challenge::Challenge;
use super::connections::{Connections, Reply, misled, read_limited};
use super::endpoint::Endpoint;
use super::leads;
use crate::error::{Error, Result};
use keel_engine::Login;

/// Answers of token services are small.
const TOKEN_LIMIT: u64 = 1024 * 1024;
/// It goes into a header of each request, and no server takes longer ones.
const LONGEST_TOKEN: usize = 64 * 1024;

/// Headers that worked, by what they are good for. Lives as long as one pull.
#[derive(Default)]
pub(super) struct Keyring {
    headers: Mutex<HashMap<(String, String), String>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Keyring")
    }
}

impl Keyring {
    pub(super) fn get(&self, endpoint: &Endpoint, repository: &str) -> Option<String> {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.get(&(endpoint.base.clone(), repository.to_owned())).cloned()
    }

    /// The header to send after the registry's own 401; `None` if none could help.
    pub(super) async fn authorize(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        repository: &str,
        refusal: &Reply,
        login: Option<&Login>,
    ) -> Result<Option<String>> {
        let header = answer_to(connections, endpoint, repository, refusal, login).await?;
        if let Some(header) = &header {
            self.put(endpoint, repository, header);
        }
        Ok(header)
    }

    fn put(&self, endpoint: &Endpoint, repository: &str, header: &str) {
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.insert((endpoint.base.clone(), repository.to_owned()), header.to_owned());
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// What a token is wanted for, and where it is to be had.
struct TokenRequest<'a> {
    realm: Url,
    service: Option<&'a str>,
    scope: Option<String>,
    /// Whether it may be at a private address.
    trusted: bool,
}

/// A header that answers a refusal; `None` if none could.
pub(super) async fn answer_to(
    connections: &Connections,
    endpoint: &Endpoint,
    repository: &str,
    refusal: &Reply,
    login: Option<&Login>,
) -> Result<Option<String>> {
    let headers = refusal.response.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenges: Vec<_> =
        headers.filter_map(|header| Challenge::parse(header.to_str().ok()?)).collect();
    // A token says least about us, so it goes first where both are offered.
    let bearer = challenges.iter().find(|challenge| **challenge != Challenge::Basic);
    match (bearer.or(challenges.first()), login) {
        (Some(Challenge::Basic), Some(Login::Password { user, password })) => {
            Ok(Some(basic(user, password)))
        }
        (Some(Challenge::Bearer { realm, service, scope }), login) => {
            let realm = leads::realm(endpoint, realm, login.is_some())
                .map_err(|why| misled(endpoint, &Url::parse(realm).ok(), why))?;
            let trusted = refusal.is_private || is_home(endpoint, &realm);
            let scope = scope.clone().or_else(|| pull_scope(repository));
            let request = TokenRequest { realm, service: service.as_deref(), scope, trusted };
            token(connections, endpoint, request, login).await.map(Some)
        }
        _ => Ok(None),
    }
}

async fn token(
    connections: &Connections,
    endpoint: &Endpoint,
    request: TokenRequest<'_>,
    login: Option<&Login>,
) -> Result<String> {
    let url = leads::shown(&request.realm);
    let realm = request.realm.clone();
    let client = connections.client(endpoint, &realm, request.trusted)?;
    let response = connections.send(endpoint, &realm, build(client, request, login)).await?;
    let status = response.status().as_u16();
    if matches!(status, 400 | 401 | 403) {
        return Err(Error::Denied {
            registry: endpoint.name.clone(),
            repository: String::new(),
            with_login: login.is_some(),
        });
    }
    let wrong = |detail: &str| Error::Answer {
        registry: endpoint.name.clone(),
        url: url.clone(),
        status,
        detail: detail.to_owned(),
    };
    if status != 200 {
        return Err(wrong(""));
    }
    let body = read_limited(response, TOKEN_LIMIT, "token answer", endpoint).await?;
    let answer: TokenAnswer =
        serde_json::from_slice(&body).map_err(|_| wrong("no token in its answer"))?;
    match [answer.token, answer.access_token].into_iter().find(|token| !token.is_empty()) {
        Some(token) if token.len() > LONGEST_TOKEN => Err(wrong("its token is too long")),
        Some(token) => Ok(format!("Bearer {token}")),
        None => Err(wrong("no token in its answer")),
    }
}

/// A password goes to the documented GET, a refresh token to OAuth's POST.
fn build(
    client: &Client,
    request: TokenRequest<'_>,
    login: Option<&Login>,
) -> reqwest::RequestBuilder {
    let TokenRequest { mut realm, service, scope, .. } = request;
    let asked = [("service", service), ("scope", scope.as_deref())];
    let asked = asked.into_iter().filter_map(|(key, value)| Some((key, value?)));
    match login {
        Some(Login::IdentityToken(token)) => {
            let fields =
                [("grant_type", "refresh_token"), ("client_id", "keel"), ("refresh_token", token)];
            client
                .post(realm)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(encoded(fields.into_iter().chain(asked)))
        }
        login => {
            realm.query_pairs_mut().extend_pairs(asked);
            match login {
                Some(Login::Password { user, password }) => {
                    client.get(realm).header("authorization", basic(user, password))
                }
                _ => client.get(realm),
            }
        }
    }
}

fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut carrier = Url::parse("http://form/").expect("it is an URL");
    carrier.query_pairs_mut().extend_pairs(fields);
    carrier.query().unwrap_or_default().to_owned()
}

/// Whether the operator's own words lead there: the registry's host, or one that is named.
fn is_home(endpoint: &Endpoint, realm: &Url) -> bool {
    let home = endpoint.url().is_some_and(|home| home.host() == realm.host());
    home || leads::is_named(endpoint, realm)
}

fn pull_scope(repository: &str) -> Option<String> {
    (!repository.is_empty()).then(|| format!("repository:{repository}:pull"))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
