//! An image's configuration: what a container of it runs when nobody says otherwise.
//!
//! The names and the meaning of `null` are those of the files that registries hold, with Docker's
//! health check beside the fields of the OCI image specification.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

mod checks;

use crate::platform::Platform;
use crate::strict::{self, Fold};
use keel_names::Digest;

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

/// The whole file that a manifest calls its config.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ConfigFile {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) created: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    config: ImageConfig,
    pub(crate) rootfs: RootFs,
}

/// The digests of the uncompressed layers, bottom first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) diff_ids: Vec<Digest>,
}

impl ConfigFile {
    /// Reads a file that comes from a registry; the error says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        strict::check(bytes, Fold::Config)?;
        let file: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        checks::check(&file.config).map(|()| file)
    }

    /// What its programs are for; `None` where it does not say.
    pub(crate) fn platform(&self) -> Option<Platform> {
        if self.architecture.is_empty() {
            return None;
        }
        let os = if self.os.is_empty() { "linux" } else { self.os.as_str() };
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        let Platform { architecture, .. } = Platform::linux(&self.architecture);
        Some(Platform { os: os.to_owned(), architecture, variant })
    }

    pub(crate) fn image_config(&self) -> ImageConfig {
        ImageConfig {
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            os: self.os.clone(),
            volumes: self.config.volumes.iter().map(|path| checks::clean(path)).collect(),
            ..self.config.clone()
        }
    }

    /// When it was built; a time that cannot be read is no reason to refuse an image.
    pub(crate) fn created(&self) -> Option<jiff::Timestamp> {
        self.created.as_deref().and_then(|text| text.parse().ok())
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_writes_is_read() {
        let text = r#"{
            "architecture": "amd64", "os": "linux", "created": "2024-05-01T10:00:00.5Z",
            "config": {
                "Hostname": "", "AttachStdin": false, "Entrypoint": null, "Cmd": ["nginx", "-g"],
                "Env": ["PATH=/bin"], "WorkingDir": "", "User": "101:101", "OnBuild": null,
                "ExposedPorts": {"80/tcp": {}, "443/tcp": {}}, "Volumes": null,
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000, "Retries": 3},
                "StopSignal": "SIGQUIT", "Labels": {"a": "b"}
            },
            "rootfs": {"type": "layers", "diff_ids": []}, "history": []
        }"#;
        let file: ConfigFile = serde_json::from_str(text).unwrap();
        let config = file.image_config();
        assert_eq!(config.cmd, ["nginx", "-g"]);
        assert!(config.entrypoint.is_empty() && config.volumes.is_empty());
        assert_eq!(config.exposed_ports.iter().collect::<Vec<_>>(), ["443/tcp", "80/tcp"]);
        assert_eq!((config.os.as_str(), config.architecture.as_str()), ("linux", "amd64"));
        let check = config.healthcheck.unwrap();
        assert_eq!(Healthcheck::duration(check.interval), Some(Duration::from_secs(30)));
        assert_eq!(Healthcheck::duration(check.timeout), None);
        assert_eq!(file.created().unwrap().as_millisecond(), 1_714_557_600_500);
    }

    #[test]
    fn a_config_without_one_is_the_default() {
        let text =
            r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#;
        let file: ConfigFile = serde_json::from_str(text).unwrap();
        assert_eq!(file.image_config().architecture, "arm64");
        assert!(file.created().is_none());
    }
}
