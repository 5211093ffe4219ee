//! Where a registry's content is asked for: its mirrors first, then itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use keel_names::reference::{DOCKER_HUB, is_host};

/// How registries are reached. Comes in as data; nothing here reads files or the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Registry (`docker.io`, `ghcr.io`, …) to the URLs that are asked before it, in order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Registries that speak plain HTTP: HOST (any port) or HOST:PORT. Loopback ones always may.
    pub insecure: Vec<String>,
    /// Registry (or mirror, as HOST or HOST:PORT) to further hosts that may have its login, and
    /// that it may lead to at private addresses: HOST or HOST:PORT.
    pub auth_hosts: BTreeMap<String, Vec<String>>,
}

/// One place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without `/v2/` and without a slash at the end.
    pub(crate) base: String,
    /// The name under which its login is filed, and which errors tell.
    pub(crate) name: String,
    /// Whether it is this machine, which no proxy can reach.
    pub(crate) loopback: bool,
    /// Whether somebody else stands behind it, who is asked next.
    pub(crate) is_mirror: bool,
    /// See [`RegistryConfig::auth_hosts`].
    pub(crate) auth_hosts: Vec<String>,
}

impl Endpoint {
    pub(super) fn url(&self) -> Option<Url> {
        Url::parse(&self.base).ok()
    }
}

impl RegistryConfig {
    /// Finds what can be wrong before anything is pulled.
    pub fn check(&self) -> Result<()> {
        self.mirrors.values().flatten().try_for_each(|url| mirror(url).map(drop))?;
        match self.auth_hosts.values().flatten().find(|host| !is_host(host)) {
            Some(host) => Err(Error::Config { value: host.clone(), wanted: "HOST or HOST:PORT" }),
            None => Ok(()),
        }
    }

    /// Whom to ask for a registry's content, in order.
    pub(crate) fn endpoints(&self, registry: &str) -> Result<Vec<Endpoint>> {
        let mirrors = self.mirrors.get(registry).into_iter().flatten();
        let mut endpoints = mirrors.map(|url| mirror(url)).collect::<Result<Vec<_>>>()?;
        for endpoint in &mut endpoints {
            endpoint.auth_hosts = self.auth_hosts_of(&endpoint.name);
        }
        endpoints.push(self.upstream(registry));
        Ok(endpoints)
    }

    fn auth_hosts_of(&self, name: &str) -> Vec<String> {
        let hosts = self.auth_hosts.get(name).into_iter().flatten();
        hosts.map(|host| host.to_ascii_lowercase()).collect()
    }

    /// The registry itself.
    pub(crate) fn upstream(&self, registry: &str) -> Endpoint {
        let host = match registry {
            DOCKER_HUB => "registry-1.docker.io",
            other => other,
        };
        let loopback = is_loopback(without_port(host));
        let listed = |entry: &String| entry == host || entry == without_port(host);
        let scheme = match loopback || self.insecure.iter().any(listed) {
            true => "http",
            false => "https",
        };
        Endpoint {
            base: format!("{scheme}://{host}"),
            name: registry.to_owned(),
            loopback,
            is_mirror: false,
            auth_hosts: self.auth_hosts_of(registry),
        }
    }
}

fn mirror(url: &str) -> Result<Endpoint> {
    let wrong =
        || Error::Config { value: url.to_owned(), wanted: "a mirror's http:// or https:// URL" };
    let parsed = Url::parse(url).map_err(|_| wrong())?;
    let host = parsed.host_str().filter(|_| matches!(parsed.scheme(), "http" | "https"));
    let host = host.ok_or_else(wrong)?;
    let name = match parsed.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let base = url.trim_end_matches('/').trim_end_matches("/v2").to_owned();
    let (loopback, auth_hosts) = (is_loopback(host), Vec::new());
    Ok(Endpoint { base, name, loopback, is_mirror: true, auth_hosts })
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_first_and_loopback_is_plain() {
        let config = RegistryConfig {
            mirrors: [(
                "docker.io".to_owned(),
                vec!["http://10.0.0.1:5000/".to_owned(), "https://m.example/hub/v2".to_owned()],
            )]
            .into(),
            insecure: vec!["plain.example".into(), "half.example:81".into()],
            ..RegistryConfig::default()
        };
        let cases = [
            (
                "docker.io",
                "http://10.0.0.1:5000 https://m.example/hub https://registry-1.docker.io",
            ),
            ("ghcr.io", "https://ghcr.io"),
            ("localhost", "http://localhost"),
            ("localhost:5000", "http://localhost:5000"),
            ("127.3.2.1:80", "http://127.3.2.1:80"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("plain.example:5000", "http://plain.example:5000"),
            ("half.example:81", "http://half.example:81"),
            ("half.example", "https://half.example"),
        ];
        for (registry, expected) in cases {
            let endpoints = config.endpoints(registry).unwrap();
            let bases: Vec<_> = endpoints.iter().map(|endpoint| endpoint.base.as_str()).collect();
            assert_eq!(bases.join(" "), expected);
        }
    }

    #[test]
    fn a_mirror_that_is_no_url_is_named() {
        let mirrors = [("docker.io".to_owned(), vec!["10.0.0.1:5000".to_owned()])].into();
        let config = RegistryConfig { mirrors, ..Default::default() };
        let error = config.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`10.0.0.1:5000` in the registry configuration is not a mirror's http:// or https:// URL"
        );
    }
}
