//! What can go wrong with images, in words for the person who has to act on it.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use crate::platform::Platform;
use crate::registry::misled::Misled;
use crate::unpack::UnpackError;
use keel_engine::FailureKind;
use keel_names::Digest;
use keel_names::{Reference, ReferenceError};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image could not be found, fetched, kept or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not the name of an image.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The registry answers, and has no such image.
    #[error("image `{reference}` is not in registry `{registry}`")]
    NotInRegistry {
        /// What was asked for.
        reference: String,
        /// Who was asked.
        registry: String,
    },
    /// The image is not on this node.
    #[error("image `{reference}` is not on this node")]
    NotHere {
        /// What was asked for.
        reference: Reference,
    },
    /// There is no built-in image of that name.
    #[error("`{reference}` names no built-in image")]
    NotBuiltIn {
        /// What was asked for.
        reference: Reference,
    },
    /// The registry wants other credentials, or some at all.
    #[error("registry `{registry}` refuses access{}", for_repository(.repository))]
    Denied {
        /// Who refused.
        registry: String,
        /// What was asked for; empty for the registry as a whole.
        repository: String,
        /// Whether credentials were sent.
        with_login: bool,
    },
    /// No answer, or the connection broke, also after some tries.
    #[error("cannot reach registry `{registry}` at {url}")]
    Unreachable {
        /// Whose address it is.
        registry: String,
        /// Where the answer was expected.
        url: String,
        /// The connection's own error.
        source: reqwest::Error,
    },
    /// An answer that makes no sense here.
    #[error("registry `{registry}` answers {status} to {url}{}", detail_of(.detail))]
    Answer {
        /// Who answered.
        registry: String,
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says about it.
        detail: String,
    },
    /// The registry leads to where we do not follow.
    #[error("registry `{registry}` leads to `{target}`: {why}")]
    Misled {
        /// Whose answer it was, or whose own address it is.
        registry: String,
        /// Scheme, host and port; the rest can be a secret.
        target: String,
        /// What is wrong with that.
        why: Misled,
    },
    /// Content is not what its name says.
    #[error("{what} from registry `{registry}` has digest {got} instead of {expected}")]
    WrongDigest {
        /// What kind of content it is.
        what: &'static str,
        /// Where it came from.
        registry: String,
        /// Its name.
        expected: Digest,
        /// What it really is.
        got: Digest,
    },
    /// Content is longer or shorter than announced.
    #[error("{what} {digest} from registry `{registry}` has {got} bytes instead of {expected}")]
    WrongSize {
        /// What kind of content it is.
        what: &'static str,
        /// Its name.
        digest: Digest,
        /// Where it came from.
        registry: String,
        /// The size that was announced.
        expected: u64,
        /// How much came, at least.
        got: u64,
    },
    /// An answer that comes byte by byte.
    #[error("{what} from registry `{registry}` comes too slowly: less than 1 KiB a second")]
    TooSlow {
        /// What kind of content it is.
        what: &'static str,
        /// Where it came from.
        registry: String,
    },
    /// A document is larger than any honest one.
    #[error("{what} of `{name}` is larger than {limit} bytes")]
    TooLarge {
        /// What kind of document it is.
        what: &'static str,
        /// Whose it is.
        name: String,
        /// The limit that it exceeds.
        limit: u64,
    },
    /// A manifest or configuration that cannot be used.
    #[error("{what} of `{name}` cannot be used: {problem}")]
    Unusable {
        /// What kind of document it is.
        what: &'static str,
        /// Whose it is.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The image exists for other machines only.
    #[error("image `{name}` is for {}; this host is {wanted}", listed(.offered))]
    NoPlatform {
        /// What was asked for.
        name: String,
        /// What this machine is.
        wanted: Platform,
        /// What there is.
        offered: Vec<Platform>,
    },
    /// A layer could not be unpacked.
    #[error("layer {layer} cannot be unpacked")]
    Unpack {
        /// The layer's blob.
        layer: Digest,
        /// Why.
        source: UnpackError,
    },
    /// A layer's content is not what the image's configuration says.
    #[error("layer {layer} unpacks to {got} instead of {expected}")]
    WrongDiffId {
        /// The layer's blob.
        layer: Digest,
        /// What the configuration says.
        expected: Digest,
        /// What came out.
        got: Digest,
    },
    /// A credential helper failed.
    #[error("credential helper `{helper}` failed for `{registry}`: {detail}")]
    Helper {
        /// The program.
        helper: String,
        /// For whom it was asked.
        registry: String,
        /// What it says.
        detail: String,
    },
    /// A file that holds JSON does not.
    #[error("cannot understand `{}`", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// The configuration of registries is wrong.
    #[error("`{value}` in the registry configuration is not {wanted}")]
    Config {
        /// What is written there.
        value: String,
        /// What should be.
        wanted: &'static str,
    },
    /// A file of the store cannot be read or written.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// Another pull or removal kept taking away what this pull needed.
    #[error("image `{reference}` was removed again and again while it was pulled")]
    Contended {
        /// What was asked for.
        reference: Reference,
    },
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Reference(error) => return error.hint(),
            Self::NotInRegistry { registry, .. } => format!(
                "check the spelling and the tag; a private image needs `keel login {registry}`"
            ),
            Self::NotHere { reference } => format!("`keel pull {reference}` fetches it"),
            Self::NotBuiltIn { .. } => "the built-in image is `keel.local/hello`".into(),
            Self::Denied { registry, with_login: false, .. } => {
                format!("`keel login {registry}` stores credentials; check the spelling, too")
            }
            Self::Denied { registry, with_login: true, .. } => {
                format!("the stored credentials are refused; `keel login {registry}` renews them")
            }
            Self::Unreachable { registry, source, .. } if tls_failure(source).is_some() => {
                untrusted(registry, tls_failure(source)?)?
            }
            Self::Unreachable { source, .. } if source.is_connect() => {
                "check the address, the proxy and the network; a registry without TLS must be \
                 listed as insecure, and HTTPS needs the system's CA certificates"
                    .into()
            }
            Self::Answer { status: 429, .. } => {
                "the registry limits how much is pulled: log in, or configure a mirror".into()
            }
            Self::WrongDigest { .. } | Self::WrongSize { .. } | Self::WrongDiffId { .. } => {
                "nothing was kept; the registry, a mirror or something between is broken or \
                 tampers with content"
                    .into()
            }
            Self::Misled { registry, target, why: Misled::Realm | Misled::Private } => {
                let host = target.rsplit('/').next().unwrap_or_default();
                format!(
                    "nothing was sent there; if that host belongs to the registry, write into \
                     keel.yaml: `registries: {{ \"{registry}\": {{ auth-hosts: [\"{host}\"] }} }}`"
                )
            }
            Self::Misled { .. } => "nothing was sent there: do not trust this registry".into(),
            Self::Unpack { source, .. } => return source.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "the disk is full: `keel system df` says of what, `keel system prune` makes room"
                    .into()
            }
            _ => return None,
        })
    }

    /// What kind of failure it is, for whoever decides by it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NotInRegistry { .. } => FailureKind::NotInRegistry,
            Self::NotHere { .. } => FailureKind::NotHere,
            Self::Denied { .. } => FailureKind::Denied,
            Self::Misled { .. } => FailureKind::Misled,
            Self::NoPlatform { .. } => FailureKind::NoPlatform,
            Self::Contended { .. } => FailureKind::Contended,
            Self::Unreachable { .. } if self.is_untrusted() => FailureKind::Untrusted,
            Self::Unreachable { .. } | Self::TooSlow { .. } => FailureKind::RegistryAway,
            Self::Answer { status: 429, .. } => FailureKind::RateLimited,
            Self::Answer { status: 500.., .. } => FailureKind::RegistryAway,
            Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::WrongDiffId { .. }
            | Self::TooLarge { .. }
            | Self::Unusable { .. } => FailureKind::Unusable,
            Self::Io { source, .. }
            | Self::Unpack { source: UnpackError::Create { source, .. }, .. } => of_disk(source),
            Self::Unpack { .. } => FailureKind::Unusable,
            _ => FailureKind::Other,
        }
    }

    /// Whether the registry, asked properly, does not have the image: it may come later.
    pub fn is_missing(&self) -> bool {
        self.kind().is_missing()
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        self.kind().may_pass()
    }

    /// Whether there was no room for it: some may be made.
    pub fn is_full_disk(&self) -> bool {
        self.kind() == FailureKind::DiskFull
    }

    /// Whether the other side could not prove who it is, and somebody has to act.
    pub fn is_untrusted(&self) -> bool {
        let Self::Unreachable { registry, source, .. } = self else { return false };
        tls_failure(source).and_then(|failure| untrusted(registry, failure)).is_some()
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

fn of_disk(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
        io::ErrorKind::ReadOnlyFilesystem => FailureKind::ReadOnly,
        _ => FailureKind::Other,
    }
}

/// What TLS says of a connection that did not come about, wherever in its causes.
fn tls_failure(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(cause) = next {
        // An I/O error does not name what it wraps among its causes.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| wrapped.downcast_ref()) {
            return Some(found);
        }
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    None
}

/// What to do about it; `None` for what may pass.
fn untrusted(registry: &str, failure: &rustls::Error) -> Option<String> {
    match failure {
        rustls::Error::InvalidMessage(_) => Some(format!(
            "it does not speak TLS; over a network that you trust, plain HTTP is allowed by \
             `registries: {{ \"{registry}\": {{ insecure: true }} }}` in keel.yaml"
        )),
        rustls::Error::InvalidCertificate(_) => Some(
            "a registry's certificate must be valid, for that name, and from a CA that this system \
             trusts (a CA of your own: into /usr/local/share/ca-certificates, then \
             `update-ca-certificates`, and restart `keel serve`)"
                .into(),
        ),
        _ => None,
    }
}

fn for_repository(repository: &str) -> String {
    match repository {
        "" => String::new(),
        name => format!(" to `{name}`"),
    }
}

fn detail_of(detail: &str) -> String {
    match detail {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

fn listed(platforms: &[Platform]) -> String {
    match platforms {
        [] => "none".into(),
        some => some.iter().map(Platform::to_string).collect::<Vec<_>>().join(", "),
    }
}
