//! Which versions both sides speak: said first, judged by each for itself.

use crate::epoch::Epoch;
use keel_engine::wire::CONTRACT_VERSION;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// A range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The lowest that is understood.
    pub oldest: u32,
    /// The highest.
    pub newest: u32,
}

/// Requests and bodies as they are in this folder.
const TRANSPORT: Versions = Versions { oldest: 1, newest: 1 };

/// Everything is said in the one version of the contract.
const CONTRACT: Versions = Versions { oldest: CONTRACT_VERSION, newest: CONTRACT_VERSION };

/// What each side says of itself before anything else. Later versions may add fields, and keep these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of keel, for people.
    pub keel: String,
    /// Versions of this transport.
    pub transport: Versions,
    /// Versions of the contract that is carried ([`keel_engine::wire`]).
    pub contract: Versions,
    /// A controller's epoch of the pool; the highest that a node has seen.
    #[serde(default)]
    pub epoch: Epoch,
    /// Where the pool's controllers listen, as far as a controller knows of others: `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
    /// Where a node is to be reached by others; a controller says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<IpAddr>,
}

impl Hello {
    /// Of this executable.
    #[must_use]
    pub fn own() -> Self {
        let keel = env!("CARGO_PKG_VERSION").to_owned();
        let (epoch, controllers) = (Epoch::default(), vec![]);
        Self { keel, transport: TRANSPORT, contract: CONTRACT, epoch, controllers, advertise: None }
    }
}

/// Two sides that share no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "keel {} on this side and keel {} on the other share no {what}: this side supports {here}, the other {there}",
    .ours.keel, .theirs.keel
)]
pub struct VersionMismatch {
    /// This side.
    pub ours: Box<Hello>,
    /// The other one.
    pub theirs: Box<Hello>,
    what: &'static str,
    here: Versions,
    there: Versions,
}

impl VersionMismatch {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let (place, keel) = match self.here.newest < self.there.oldest {
            true => ("on this side", &self.theirs.keel),
            false => ("on the other side", &self.ours.keel),
        };
        format!("upgrade keel {place} to version {keel}")
    }
}

/// Whether both sides share a version of everything. Both come to the same result.
pub fn agree(ours: &Hello, theirs: &Hello) -> Result<(), VersionMismatch> {
    let pairs = [
        ("version of the node transport", ours.transport, theirs.transport),
        ("version of the node protocol", ours.contract, theirs.contract),
    ];
    for (what, here, there) in pairs {
        if here.newest.min(there.newest) < here.oldest.max(there.oldest) {
            let (ours, theirs) = (Box::new(ours.clone()), Box::new(theirs.clone()));
            return Err(VersionMismatch { ours, theirs, what, here, there });
        }
    }
    Ok(())
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "{}", self.oldest),
            false => write!(f, "{} to {}", self.oldest, self.newest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(keel: &str, (oldest, newest): (u32, u32)) -> Hello {
        let transport = Versions { oldest, newest };
        Hello { keel: keel.to_owned(), transport, ..Hello::own() }
    }

    #[test]
    fn ranges_that_meet_agree_both_ways() {
        for (ours, theirs, agreed) in [
            ((1, 1), (1, 1), true),
            ((1, 2), (2, 4), true),
            ((2, 4), (1, 2), true),
            ((1, 5), (3, 3), true),
            ((1, 2), (3, 4), false),
            ((3, 4), (1, 2), false),
        ] {
            let (ours, theirs) = (hello("1.0.0", ours), hello("2.0.0", theirs));
            assert_eq!(agree(&ours, &theirs).is_ok(), agreed, "{ours:?} {theirs:?}");
            assert_eq!(agree(&theirs, &ours).is_ok(), agreed, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn a_mismatch_names_both_sides_and_which_to_upgrade() {
        let (old, new) = (hello("1.0.0", (1, 2)), hello("3.1.0", (3, 4)));
        let mismatch = agree(&old, &new).unwrap_err();
        assert_eq!(
            mismatch.to_string(),
            "keel 1.0.0 on this side and keel 3.1.0 on the other share no version of the node transport: this \
             side supports 1 to 2, the other 3 to 4"
        );
        assert_eq!(mismatch.hint(), "upgrade keel on this side to version 3.1.0");
        assert_eq!(
            agree(&new, &old).unwrap_err().hint(),
            "upgrade keel on the other side to version 3.1.0"
        );
        let contract = Versions { oldest: 9, newest: 9 };
        let later = Hello { contract, ..Hello::own() };
        let mismatch = agree(&Hello::own(), &later).unwrap_err();
        assert!(
            mismatch.to_string().contains("no version of the node protocol: this side supports 1,"),
            "{mismatch}"
        );
    }

    #[test]
    fn what_a_later_version_adds_is_no_matter() {
        let text = r#"{"keel":"9.0.0","transport":{"oldest":1,"newest":7},"contract":{"oldest":1,"newest":1},
                       "zeal":"much"}"#;
        let theirs: Hello = serde_json::from_str(text).unwrap();
        assert!(agree(&Hello::own(), &theirs).is_ok());
    }
}
