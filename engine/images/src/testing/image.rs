//! Images from layers.

use serde_json::{Value, json};

use super::layer::TestLayer;
use crate::platform::Platform;
use keel_names::Digest;

/// An image that is being put together.
#[derive(Debug, Clone)]
pub struct TestImage {
    layers: Vec<TestLayer>,
    config: Value,
    platform: Platform,
}

impl Default for TestImage {
    fn default() -> Self {
        Self { layers: Vec::new(), config: json!({}), platform: Platform::host() }
    }
}

impl TestImage {
    /// An image of no layers for this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a layer on top.
    #[must_use]
    pub fn layer(mut self, layer: TestLayer) -> Self {
        self.layers.push(layer);
        self
    }

    /// The same for another platform.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// One field of its configuration, by its name in the file: `Env`, `ExposedPorts`, ….
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// What it runs.
    #[must_use]
    pub fn cmd<const N: usize>(self, words: [&str; N]) -> Self {
        self.with("Cmd", words.to_vec())
    }

    /// Its configuration file.
    pub fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(TestLayer::diff_id).collect();
        let mut file = json!({
            "os": self.platform.os,
            "architecture": self.platform.architecture,
            "created": "2024-05-01T10:00:00Z",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &self.platform.variant {
            file["variant"] = variant.as_str().into();
        }
        serde_json::to_vec(&file).expect("it is JSON")
    }

    /// Its manifest.
    pub fn manifest(&self) -> Vec<u8> {
        let part = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() });
        let blobs = self.layers.iter().map(TestLayer::blob);
        let layers: Vec<_> = blobs.map(|(bytes, kind)| part(kind, &bytes)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": part("application/vnd.oci.image.config.v1+json", &self.config()),
            "layers": layers,
        });
        serde_json::to_vec(&manifest).expect("it is JSON")
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest())
    }

    /// An index of several images.
    pub fn index(images: &[TestImage]) -> Vec<u8> {
        let entries: Vec<_> = images.iter().map(TestImage::index_entry).collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        });
        serde_json::to_vec(&index).expect("it is JSON")
    }

    fn index_entry(&self) -> Value {
        let manifest = self.manifest();
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(&manifest),
            "size": manifest.len(),
            "platform": self.platform,
        })
    }

    /// Everything that its manifest names.
    pub(super) fn blobs(&self) -> Vec<Vec<u8>> {
        let layers = self.layers.iter().map(|layer| layer.blob().0);
        layers.chain([self.config()]).collect()
    }
}
