//! Why something on a node failed: a kind with its data, and words for people.
//!
//! # Invariants
//! - Whoever decides by a failure matches its kind; words are made of that where they are shown.
//! - Words travel beside a kind, and stand beside it in records: what only a later version knows is read as
//!   [`FailureKind::Other`] with them, and what an older version wrote is nothing but them.

mod address_error;
mod mount_error;
mod port_error;
pub mod stored_failure;

use crate::error::{EngineError, Trouble};
use crate::goal::Opaque;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::error::Error;
use std::fmt;
use std::io;

pub use address_error::{AddressError, AddressHolder};
pub use mount_error::MountError;
pub use port_error::{PortError, PortHolder};

/// Why something on a node failed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct Failure {
    /// What kind of failure it is: whoever decides looks at nothing else.
    pub kind: FailureKind,
    /// What happened and what to do, in one line; nothing where the kind says it all.
    pub text: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The disk or a quota is full.
    DiskFull,
    /// The disk takes no writes.
    ReadOnly,
    /// The machine has no more memory, processes or descriptors to give.
    Exhausted,
    /// The kernel does not permit it.
    NotPermitted,
    /// The machine has no such device, or its kernel no such feature.
    NoDevice,
    /// An address of the host is in use.
    AddressInUse,
    /// The registry does not answer, or answers that it cannot at the moment.
    RegistryAway,
    /// The registry limits how much is pulled.
    RateLimited,
    /// The registry does not have the image.
    NotInRegistry,
    /// The image is not on the node, and may not be pulled.
    NotHere,
    /// The registry wants other credentials, or some at all.
    Denied,
    /// The registry could not prove who it is.
    Untrusted,
    /// The registry leads to where nobody follows.
    Misled,
    /// There is no image for this kind of machine.
    NoPlatform,
    /// What came is not what it is called, or cannot be used.
    Unusable,
    /// What was needed was taken away meanwhile.
    Contended,
    /// An address or subnet of a network cannot be had.
    Address(AddressError),
    /// A port cannot be published.
    Port(PortError),
    /// Something cannot be mounted.
    Mount(MountError),
    /// The node has no such network driver.
    NoDriver {
        /// The network.
        network: String,
        /// Its driver, as it was asked for.
        driver: String,
        /// Those that there are.
        has: String,
    },
    /// The container whose network it shares is not there, or does not run yet.
    NoContainer {
        /// Its name.
        name: String,
        /// It is there, and has no network yet.
        is_there: bool,
    },
    /// There is no such program in the image.
    NoProgram,
    /// The program is there, but cannot be executed.
    NotExecutable,
    /// Nothing failed, but something that was asked for was left out.
    Degraded,
    /// Something else.
    #[default]
    Other,
}

impl FailureKind {
    /// What the kernel said, anywhere among the causes of an error.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let told = error.downcast_ref().and_then(Self::of_system);
            let told = told.or_else(|| error.downcast_ref().and_then(Self::of_engine));
            if let Some(kind) = told {
                return kind;
            }
            next = error.source();
        }
        Self::Other
    }

    fn of_system(error: &io::Error) -> Option<Self> {
        use io::ErrorKind::{
            AddrInUse, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
            StorageFull, Unsupported,
        };
        Some(match (error.kind(), error.raw_os_error()) {
            (StorageFull | QuotaExceeded, _) => Self::DiskFull,
            (ReadOnlyFilesystem, _) => Self::ReadOnly,
            (PermissionDenied, _) => Self::NotPermitted,
            (AddrInUse, _) => Self::AddressInUse,
            (OutOfMemory, _) | (_, Some(EMFILE | ENFILE)) => Self::Exhausted,
            (Unsupported, _) | (_, Some(ENXIO | ENODEV)) => Self::NoDevice,
            // It does not name what it wraps among its causes.
            _ => return Some(Self::of(error.get_ref()?)).filter(|kind| *kind != Self::Other),
        })
    }

    fn of_engine(error: &EngineError) -> Option<Self> {
        match error.trouble()? {
            Trouble::DiskFull => Some(Self::DiskFull),
            Trouble::ReadOnlyDisk => Some(Self::ReadOnly),
            Trouble::Exhausted => Some(Self::Exhausted),
            Trouble::Network | Trouble::Registry | Trouble::Other => None,
        }
    }

    /// Whether the same may succeed later without anybody changing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Mount(error) => error.may_pass(),
            Self::DiskFull
            | Self::Exhausted
            | Self::AddressInUse
            | Self::RegistryAway
            | Self::RateLimited
            | Self::Untrusted
            | Self::Contended
            | Self::NoContainer { .. } => true,
            Self::ReadOnly
            | Self::NotPermitted
            | Self::NoDevice
            | Self::NotInRegistry
            | Self::NotHere
            | Self::Denied
            | Self::Misled
            | Self::NoPlatform
            | Self::Unusable
            | Self::Address(_)
            | Self::Port(_)
            | Self::NoDriver { .. }
            | Self::NoProgram
            | Self::NotExecutable
            | Self::Degraded
            | Self::Other => false,
        }
    }

    /// Whether there is no such image: it may come later.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NotInRegistry | Self::NotHere)
    }

    /// What happened and what to do, where the kind alone says it.
    fn words(&self) -> Option<String> {
        Some(match self {
            Self::Address(error) => with_hint(error, error.hint()),
            Self::Port(error) => with_hint(error, Some(error.hint())),
            Self::Mount(error) => error.to_string(),
            Self::NoDriver { network, driver, has } => format!(
                "this node has no driver `{driver}` for network `{network}`, only {has}; give \
                 the network no `driver`: then it is a bridge"
            ),
            Self::NoContainer { name, is_there: true } => {
                format!("waits for the network of {name}")
            }
            Self::NoContainer { name, is_there: false } => {
                format!("there is no container {name} to join")
            }
            _ => return None,
        })
    }
}

/// Linux has these numbers on every architecture.
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

fn with_hint(what: &dyn fmt::Display, hint: Option<String>) -> String {
    hint.map_or_else(|| what.to_string(), |hint| format!("{what}; {hint}"))
}

impl Failure {
    /// A kind of a later version is none that is known here, and leaves the words.
    fn read(kind: Opaque, text: String) -> Self {
        let kind: FailureKind = serde_json::from_value(kind).unwrap_or_default();
        let text = if kind.words().is_some() { String::new() } else { text };
        Self { kind, text }
    }
}

impl From<FailureKind> for Failure {
    /// For a kind that says it all.
    fn from(kind: FailureKind) -> Self {
        Self { kind, text: String::new() }
    }
}

impl From<String> for Failure {
    /// A failure of which nothing but words is known.
    fn from(text: String) -> Self {
        Self { kind: FailureKind::Other, text }
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.words() {
            Some(words) => f.write_str(&words),
            None => f.write_str(&self.text),
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form<'a> {
            kind: &'a FailureKind,
            text: String,
        }
        Form { kind: &self.kind, text: self.to_string() }.serialize(serializer)
    }
}

/// As it is stored; an older version had words only.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Whole {
        #[serde(default)]
        kind: Opaque,
        #[serde(default)]
        text: String,
    },
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => text.into(),
            Form::Whole { kind, text } => Self::read(kind, text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_in_both_its_forms() {
        let text = "cannot reach registry `r`".to_owned();
        let old: Failure = serde_json::from_str(r#""cannot reach registry `r`""#).unwrap();
        assert_eq!(old, Failure { kind: FailureKind::Other, text: text.clone() });
        let now = Failure { kind: FailureKind::RegistryAway, text };
        let stored = serde_json::to_string(&now).unwrap();
        assert_eq!(stored, r#"{"kind":"registry-away","text":"cannot reach registry `r`"}"#);
        assert_eq!(serde_json::from_str::<Failure>(&stored).unwrap(), now);
    }

    #[test]
    fn a_kind_with_data_is_stored_with_words_that_any_version_can_show() {
        let holder = PortHolder::Program { name: "nginx".into(), pid: 7 };
        let (protocol, host_ip) = (crate::Protocol::Tcp, "0.0.0.0".parse().unwrap());
        let taken = PortError::Taken { published: 80, protocol, host_ip, holder };
        let failure = Failure::from(FailureKind::Port(taken));
        let words = "port 80/tcp on 0.0.0.0 is taken by nginx (pid 7); publish another port, or stop \
                     what holds 80/tcp";
        assert_eq!(failure.to_string(), words);
        let stored = serde_json::to_value(&failure).unwrap();
        assert_eq!(stored["text"], words);
        assert_eq!(stored["kind"]["port"]["taken"]["holder"]["program"]["pid"], 7);
        assert_eq!(serde_json::from_value::<Failure>(stored).unwrap(), failure);
        let later: Failure =
            serde_json::from_str(r#"{"kind":{"too-hot":{"degrees":99}},"text":"it is hot"}"#)
                .unwrap();
        assert_eq!(later, "it is hot".into());
    }

    #[test]
    fn what_the_kernel_said_makes_the_kind() {
        let cases = [
            (28, FailureKind::DiskFull),
            (122, FailureKind::DiskFull),
            (30, FailureKind::ReadOnly),
            (13, FailureKind::NotPermitted),
            (19, FailureKind::NoDevice),
            (98, FailureKind::AddressInUse),
            (24, FailureKind::Exhausted),
            (2, FailureKind::Other),
        ];
        for (number, kind) in cases {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(FailureKind::of(&error), kind, "{error}");
            assert_eq!(FailureKind::of(&io::Error::other(error)), kind);
        }
        let full = EngineError::failed("cannot store", io::Error::from_raw_os_error(28));
        assert_eq!(FailureKind::of(&full), FailureKind::DiskFull);
    }
}
