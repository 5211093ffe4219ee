//! Where a registry may lead us: the next step of a redirect, and who gets a login. Pure.
//!
//! A registry, whoever sits before it, and the storage that it redirects to are strangers: what
//! they say decides neither who sees a login nor which machines of our network are talked to.

use reqwest::Url;

use super::endpoint::Endpoint;
use super::misled::Misled;
use super::reach::{Reach, literal};

/// Registries whose token service is elsewhere, and theirs for sure.
const TOKEN_SERVICES: [(&str, &str); 4] = [
    ("docker.io", "auth.docker.io"),
    ("docker.elastic.co", "docker-auth.elastic.co"),
    ("registry.digitalocean.com", "api.digitalocean.com"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// The URL that a redirect leads to.
pub(super) fn next(from: &Url, location: &str) -> Result<Url, Misled> {
    let next = from.join(location).map_err(|_| Misled::Scheme)?;
    check(&next, from.scheme() == "https").map(|()| next)
}

/// The token service's URL. A login goes to it only if it is the registry's.
pub(super) fn realm(endpoint: &Endpoint, realm: &str, with_login: bool) -> Result<Url, Misled> {
    let url = Url::parse(realm).map_err(|_| Misled::Scheme)?;
    check(&url, endpoint.base.starts_with("https:"))?;
    match with_login && !is_theirs(endpoint, &url) {
        true => Err(Misled::Realm),
        false => Ok(url),
    }
}

fn check(url: &Url, secure: bool) -> Result<(), Misled> {
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Misled::Scheme);
    }
    if secure && url.scheme() != "https" {
        return Err(Misled::Downgrade);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Misled::UserInfo);
    }
    match literal(url) {
        Some(Reach::Never) => Err(Misled::Forbidden),
        _ => Ok(()),
    }
}

/// Whether the operator named the host: it may then have the login, and be at a private address.
pub(super) fn is_named(endpoint: &Endpoint, url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    let usual = has_usual_port(endpoint, url);
    endpoint.auth_hosts.iter().any(|named| *named == with_port || usual && named == host)
}

/// Its own host, a host below that, or one that is known or named.
fn is_theirs(endpoint: &Endpoint, url: &Url) -> bool {
    let (Some(host), Some(home)) = (url.host_str(), endpoint.url()) else { return false };
    let own = home.host_str().unwrap_or_default();
    let below = url.domain().is_some() && home.domain().is_some();
    let below = below && host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
    let known = !endpoint.is_mirror && TOKEN_SERVICES.contains(&(endpoint.name.as_str(), host));
    (host == own || below || known) && has_usual_port(endpoint, url) || is_named(endpoint, url)
}

/// The port of the scheme, or the registry's own: another one may be another user's.
fn has_usual_port(endpoint: &Endpoint, url: &Url) -> bool {
    let own = endpoint.url().and_then(|home| home.port_or_known_default());
    url.port().is_none() || url.port_or_known_default() == own
}

/// What of a URL an error may show: its path and query can hold a signature.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::RegistryConfig;

    fn registry(name: &str) -> Endpoint {
        let named = vec!["login.example".to_owned(), "odd.example:8443".to_owned()];
        let config = RegistryConfig {
            auth_hosts: [("named.example".to_owned(), named)].into(),
            insecure: vec!["plain.example".into()],
            ..RegistryConfig::default()
        };
        config.upstream(name)
    }

    #[test]
    fn a_login_goes_to_the_registrys_own() {
        let allowed = [
            ("docker.io", "https://auth.docker.io/token"),
            ("docker.io", "https://registry-1.docker.io/token"),
            ("ghcr.io", "https://ghcr.io/token"),
            ("a.example", "https://auth.a.example/token"),
            ("a.example:5050", "https://a.example/jwt/auth"),
            ("a.example:5050", "https://a.example:5050/auth"),
            ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("named.example", "https://login.example/token"),
            ("named.example", "https://odd.example:8443/token"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/token"),
            ("plain.example", "http://plain.example/token"),
            ("[::1]:5000", "http://[::1]:5000/token"),
        ];
        for (name, url) in allowed {
            assert!(realm(&registry(name), url, true).is_ok(), "{name}: {url}");
        }
        let refused = [
            ("docker.io", "https://auth.docker.io.evil/token", Misled::Realm),
            ("docker.io", "https://evil-auth.docker.io.example/token", Misled::Realm),
            ("docker.io", "https://auth.docker.io:8443/token", Misled::Realm),
            ("ghcr.io", "https://auth.docker.io/token", Misled::Realm),
            ("a.example", "https://a.example.evil/token", Misled::Realm),
            ("a.example", "https://nota.example/token", Misled::Realm),
            ("a.example", "https://b.example/token", Misled::Realm),
            ("a.example", "https://example/token", Misled::Realm),
            ("a.example", "https://a.example:8443/token", Misled::Realm),
            ("r.a.co.uk", "https://r.b.co.uk/token", Misled::Realm),
            ("other.example", "https://login.example/token", Misled::Realm),
            ("named.example", "https://login.example:8443/token", Misled::Realm),
            ("named.example", "https://odd.example/token", Misled::Realm),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/token", Misled::Realm),
            ("127.0.0.1:5000", "http://localhost:5000/token", Misled::Realm),
            ("127.0.0.1:5000", "http://[::1]:5000/token", Misled::Realm),
            ("a.example", "http://a.example/token", Misled::Downgrade),
            ("a.example", "file:///etc/passwd", Misled::Scheme),
            ("a.example", "gopher://a.example/x", Misled::Scheme),
            ("a.example", "token", Misled::Scheme),
            ("a.example", "https://me:x@a.example/token", Misled::UserInfo),
            ("a.example", "https://169.254.169.254/token", Misled::Forbidden),
            ("plain.example", "http://2852039166/token", Misled::Forbidden),
        ];
        for (name, url, why) in refused {
            assert_eq!(realm(&registry(name), url, true), Err(why), "{name}: {url}");
        }
        assert!(realm(&registry("lscr.io"), "https://ghcr.io/token", false).is_ok());
        assert_eq!(
            realm(&registry("lscr.io"), "http://ghcr.io/token", false),
            Err(Misled::Downgrade)
        );
    }

    #[test]
    fn a_mirror_is_not_whom_it_mirrors() {
        let mirrors = [("docker.io".to_owned(), vec!["https://mirror.example".to_owned()])].into();
        let config = RegistryConfig { mirrors, ..RegistryConfig::default() };
        let endpoints = config.endpoints("docker.io").unwrap();
        let there = "https://auth.docker.io/token";
        assert_eq!(realm(&endpoints[0], there, true), Err(Misled::Realm));
        assert!(realm(&endpoints[1], there, true).is_ok());
    }

    #[test]
    fn redirects_stay_on_the_web_and_never_lose_tls() {
        let cases = [
            (
                "https://a.example/v2/",
                "https://cdn.example/x?sig=1",
                Ok("https://cdn.example/x?sig=1"),
            ),
            ("https://a.example/v2/x", "/y", Ok("https://a.example/y")),
            ("https://a.example/v2/x", "//b.example/y", Ok("https://b.example/y")),
            ("http://a.example/", "https://b.example/", Ok("https://b.example/")),
            ("http://a.example/", "http://10.0.0.1/", Ok("http://10.0.0.1/")),
            ("https://a.example/", "http://a.example/", Err(Misled::Downgrade)),
            ("https://a.example/", "ftp://a.example/", Err(Misled::Scheme)),
            ("http://a.example/", "file:///etc/passwd", Err(Misled::Scheme)),
            ("http://a.example/", "http://", Err(Misled::Scheme)),
            ("http://a.example/", "http://user@b.example/", Err(Misled::UserInfo)),
            ("http://a.example/", "http://:secret@b.example/", Err(Misled::UserInfo)),
            ("http://a.example/", "http://169.254.169.254/latest", Err(Misled::Forbidden)),
            ("http://a.example/", "http://[::ffff:169.254.169.254]/", Err(Misled::Forbidden)),
        ];
        for (from, location, expected) in cases {
            let found = next(&Url::parse(from).unwrap(), location);
            assert_eq!(
                found.as_ref().map(Url::as_str),
                expected.as_ref().map(|url| *url),
                "{location}"
            );
        }
    }
}
