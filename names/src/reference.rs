//! What people write to name an image, read as Docker reads it.
//!
//! # Invariants
//! - A [`Reference`] always has a tag or a digest; `latest` is filled in when neither was written.
//! - Its registry is never empty: names without one are Docker Hub's.
//! - Equal images are spelled equally: `nginx`, `library/nginx` and
//!   `docker.io/library/nginx:latest` are one value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The registry of names that give none.
pub const DOCKER_HUB: &str = "docker.io";
/// The registry of the images that Evenkeel makes itself. No network is ever asked for it.
pub const BUILT_IN: &str = "keel.local";

/// The name of an image: registry, repository, and a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is not the name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an image reference: {problem}")]
pub struct ReferenceError {
    /// What was written.
    pub given: String,
    /// What is wrong with it.
    pub problem: ReferenceProblem,
}

/// What can be wrong with an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceProblem {
    /// Nothing was written.
    #[error("it is empty")]
    Empty,
    /// An URL's scheme stands before it.
    #[error("it starts with a scheme")]
    Scheme,
    /// A letter in the repository is upper-case.
    #[error("the repository `{0}` has upper-case letters")]
    Uppercase(String),
    /// The registry is not HOST or HOST:PORT.
    #[error("`{0}` is not a registry's host and port")]
    Registry(String),
    /// One part of the repository's path is malformed.
    #[error("`{0}` cannot be part of a repository's name")]
    Component(String),
    /// The tag is malformed.
    #[error("`{0}` is not a tag")]
    Tag(String),
    /// The digest is malformed.
    #[error("`{0}` is not a digest of the form sha256:HEX")]
    Digest(String),
    /// The repository's name is longer than 255 characters.
    #[error("the name is longer than 255 characters")]
    TooLong,
    /// It looks like an image's id.
    #[error("64 hex digits are an image's id, not its name")]
    LooksLikeId,
}

impl ReferenceError {
    /// What to try instead.
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            ReferenceProblem::Uppercase(name) => {
                Some(format!("names are lower-case: `{}`", name.to_lowercase()))
            }
            ReferenceProblem::Scheme => {
                Some("write HOST/NAME:TAG; plain HTTP is configured for the registry".into())
            }
            ReferenceProblem::Component(_) => {
                Some("use a-z, 0-9 and single separators `.`, `_`, `__` or `-` between them".into())
            }
            ReferenceProblem::Tag(_) => {
                Some("use up to 128 of A-Z, a-z, 0-9, `_`, `.`, `-`; not `.` or `-` first".into())
            }
            ReferenceProblem::LooksLikeId => Some("write NAME@sha256:HEX to name content".into()),
            _ => None,
        }
    }
}

impl Reference {
    /// The registry as written in names: `docker.io`, `ghcr.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path within the registry: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written (or neither tag nor digest, then `latest`).
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written. It then decides, and the tag is only for people.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same repository's content of that digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// Whether Evenkeel makes this image itself.
    pub fn is_built_in(&self) -> bool {
        self.registry == BUILT_IN
    }

    /// Everything spelled out: `docker.io/library/nginx:latest`.
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.registry, self.repository, Suffix(self))
    }

    /// The name without tag or digest as people write it: `nginx`, `ghcr.io/a/b`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DOCKER_HUB {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix("library/") {
            // `library/a/b` is no official image; without its prefix it would be another name.
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// What decides which content is meant: the digest when there is one, else the tag.
    pub fn key(&self) -> String {
        match self.digest {
            Some(digest) => format!("{}/{}@{digest}", self.registry, self.repository),
            None => self.full(),
        }
    }
}

struct Suffix<'a>(&'a Reference);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(out, ":{tag}")?;
        }
        match self.0.digest {
            Some(digest) => write!(out, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// The familiar form: `nginx:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.familiar_name(), Suffix(self))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|problem| ReferenceError { given: text.to_owned(), problem })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.full()
    }
}

/// A reference as it was written, taken apart; nothing of it is checked or filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Registry and repository.
    pub name: &'a str,
    /// What follows the tag's colon.
    pub tag: Option<&'a str>,
    /// What follows the `@`.
    pub digest: Option<&'a str>,
}

impl<'a> Written<'a> {
    /// Takes any text apart.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        Self { name, tag, digest }
    }

    /// The familiar name and the tag, which two that name the same image have in common. An image named by
    /// digest alone has no tag.
    #[must_use]
    pub fn full(&self) -> (&'a str, &'a str) {
        let name = self.name.strip_prefix("docker.io/").unwrap_or(self.name);
        let name = name.strip_prefix("library/").unwrap_or(name);
        (name, self.tag.unwrap_or(if self.digest.is_none() { "latest" } else { "" }))
    }
}

fn parse(text: &str) -> Result<Reference, ReferenceProblem> {
    if text.is_empty() {
        return Err(ReferenceProblem::Empty);
    }
    if text.contains("://") {
        return Err(ReferenceProblem::Scheme);
    }
    let Written { name, tag, digest } = Written::of(text);
    let checked =
        |digest: &str| digest.parse().map_err(|_| ReferenceProblem::Digest(digest.to_owned()));
    let digest = digest.map(checked).transpose()?;
    let tag = tag.map(check_tag).transpose()?;
    let (registry, repository) = split_registry(name)?;
    check_repository(&repository)?;
    if registry.len() + 1 + repository.len() > 255 {
        return Err(ReferenceProblem::TooLong);
    }
    let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
    Ok(Reference { registry, repository, tag, digest })
}

/// The first colon after the last slash starts the tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[last..].find(':') {
        Some(colon) => (&text[..last + colon], Some(&text[last + colon + 1..])),
        None => (text, None),
    }
}

/// The first part is a registry if it could not be a user of Docker Hub.
fn split_registry(name: &str) -> Result<(String, String), ReferenceProblem> {
    // An upper-case first part is no host either, unlike for Docker: to be told that names are
    // lower-case helps more than a host that cannot be reached.
    let looks_like_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DOCKER_HUB, name),
    };
    let registry = match registry {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        host if is_host(host) => host.to_ascii_lowercase(),
        other => return Err(ReferenceProblem::Registry(other.to_owned())),
    };
    match registry == DOCKER_HUB && !repository.contains('/') {
        true if Digest::from_hex(repository).is_some() => Err(ReferenceProblem::LooksLikeId),
        true => Ok((registry, format!("library/{repository}"))),
        false => Ok((registry, repository.to_owned())),
    }
}

/// HOST, HOST:PORT or [IPv6]:PORT.
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let known = address.parse::<std::net::Ipv6Addr>().is_ok();
            match (known, rest.strip_prefix(':')) {
                (true, None) => return rest.is_empty(),
                (true, port) => ("v6", port),
                (false, _) => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn check_repository(repository: &str) -> Result<(), ReferenceProblem> {
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceProblem::Uppercase(repository.to_owned()));
    }
    match repository.split('/').find(|component| !is_component(component)) {
        Some(component) => Err(ReferenceProblem::Component(component.to_owned())),
        None => Ok(()),
    }
}

/// Runs of `a-z0-9` with `.`, `_`, `__` or any number of `-` between them.
fn is_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |text: &str| {
        matches!(text, "." | "_" | "__") || (!text.is_empty() && text.bytes().all(|b| b == b'-'))
    };
    if !component.starts_with(word) || !component.ends_with(word) {
        return false;
    }
    component.split(word).filter(|between| !between.is_empty()).all(separator)
}

fn check_tag(tag: &str) -> Result<String, ReferenceProblem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match tag.as_bytes() {
        [first, ..] if tag.len() <= 128 && tag.bytes().all(allowed) && !b".-".contains(first) => {
            Ok(tag.to_owned())
        }
        _ => Err(ReferenceProblem::Tag(tag.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = format!("@sha256:{hex}");
        let cases = [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
            ("library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("127.0.0.1:5000/x:y", "127.0.0.1:5000/x:y", "127.0.0.1:5000/x:y"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("Host.io/x", "host.io/x:latest", "host.io/x:latest"),
            ("a/b--c__d.e", "docker.io/a/b--c__d.e:latest", "a/b--c__d.e:latest"),
        ];
        for (written, full, familiar) in cases {
            let read: Reference = written.parse().unwrap();
            assert_eq!(
                (read.full(), read.to_string()),
                (full.into(), familiar.into()),
                "{written}"
            );
            assert_eq!(full.parse(), Ok(read.clone()), "{full}");
            assert_eq!(familiar.parse(), Ok(read), "{familiar}");
        }
        let pinned: Reference = format!("nginx{digest}").parse().unwrap();
        assert_eq!((pinned.tag(), pinned.to_string()), (None, format!("nginx{digest}")));
        let both: Reference = format!("nginx:1{digest}").parse().unwrap();
        assert_eq!(both.full(), format!("docker.io/library/nginx:1{digest}"));
        assert_eq!(both.key(), pinned.key());
    }

    #[test]
    fn a_port_is_no_tag() {
        let cases = [
            ("nginx", None),
            ("nginx:1.25", Some("1.25")),
            ("localhost:5000/app", None),
            ("localhost:5000/app:2", Some("2")),
            ("app@sha256:00", None),
        ];
        for (reference, expected) in cases {
            assert_eq!(Written::of(reference).tag, expected, "{reference}");
        }
    }

    #[test]
    fn the_same_name_can_be_written_in_several_ways() {
        let cases = [
            ("nginx", "nginx", "latest"),
            ("docker.io/library/nginx:latest", "nginx", "latest"),
            ("nginx:1@sha256:00", "nginx", "1"),
            ("nginx@sha256:00", "nginx", ""),
            ("docker.io/a/b:2", "a/b", "2"),
            ("localhost:5000/app", "localhost:5000/app", "latest"),
        ];
        for (reference, repository, tag) in cases {
            assert_eq!(Written::of(reference).full(), (repository, tag), "{reference}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        use ReferenceProblem::*;
        let cases = [
            ("", Empty),
            ("https://x/y", Scheme),
            ("Nginx", Uppercase("library/Nginx".into())),
            ("a/B", Uppercase("a/B".into())),
            ("Host/x", Uppercase("Host/x".into())),
            ("nginx:", Tag("".into())),
            ("nginx:.x", Tag(".x".into())),
            ("nginx@sha256:12", Digest("sha256:12".into())),
            ("a..b", Component("a..b".into())),
            ("a//b", Component("".into())),
            ("a/-b", Component("-b".into())),
            ("../x", Registry("..".into())),
            ("host:port/x", Registry("host:port".into())),
        ];
        for (written, problem) in cases {
            match written.parse::<Reference>() {
                Err(error) => assert_eq!(error.problem, problem, "{written}"),
                Ok(read) => panic!("{written} was read as {read}"),
            }
        }
        assert_eq!("a".repeat(256).parse::<Reference>().unwrap_err().problem, TooLong);
        assert_eq!("ab".repeat(32).parse::<Reference>().unwrap_err().problem, LooksLikeId);
    }
}
