//! The fields of a configuration that say what a container runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// What a container of the image runs, unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// What always runs; `command` is appended.
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// Arguments, or the whole command where there is no entrypoint.
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// `NAME=value`, in the image's order.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// Where the command starts; empty means `/`.
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty means root.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    /// `80/tcp`, for people and for `publish all`.
    #[serde(with = "keys")]
    pub exposed_ports: BTreeSet<String>,
    /// Paths whose content shall live outside of the container.
    #[serde(with = "keys")]
    pub volumes: BTreeSet<String>,
    /// How to find out whether the container works.
    pub healthcheck: Option<Healthcheck>,
    /// The signal that asks it to end; empty means SIGTERM.
    #[serde(deserialize_with = "null_is_default")]
    pub stop_signal: String,
    /// The image's labels.
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// What shell-form commands (of health checks too) are run by; empty means `/bin/sh -c`.
    #[serde(deserialize_with = "null_is_default")]
    pub shell: Vec<String>,
    /// The processor that its programs are for.
    pub architecture: String,
    /// The variant of that processor, if it matters.
    pub variant: Option<String>,
    /// `linux`.
    pub os: String,
}

/// Docker's HEALTHCHECK.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", LINE]`.
    #[serde(deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Nanoseconds between checks; 0 means the default.
    pub interval: u64,
    /// Nanoseconds for one check; 0 means the default.
    pub timeout: u64,
    /// Nanoseconds at the start in which failures do not count; 0 means none.
    pub start_period: u64,
    /// Nanoseconds between checks within the start period; 0 means the default.
    pub start_interval: u64,
    /// Failures in a row that make it unhealthy; 0 means the default.
    pub retries: u32,
}

impl Healthcheck {
    /// One of the durations, `None` where the image leaves it at its default.
    pub fn duration(nanoseconds: u64) -> Option<Duration> {
        (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
    }
}

pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Sets are written as maps to empty objects.
mod keys {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::de::IgnoredAny;
    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(set.len()))?;
        for key in set {
            map.serialize_entry(key, &BTreeMap::<(), ()>::new())?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        text: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(text)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}
