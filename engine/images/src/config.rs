//! An image's configuration: what a container of it runs when nobody says otherwise.
//!
//! The names and the meaning of `null` are those of the files that registries hold, with Docker's
//! health check beside the fields of the OCI image specification.

use serde::{Deserialize, Serialize};

mod checks;
mod shape;

use shape::null_is_default;
pub use shape::{Healthcheck, ImageConfig};

use crate::platform::Platform;
use crate::strict::{self, Fold};
use keel_names::Digest;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
