//! The documents that name an image's parts: indexes and manifests, of OCI's kind and Docker's.
//!
//! # Invariants
//! - What a document is follows from its own fields, and one that could be read both ways is
//!   refused: two readers must never see two images in one digest.

use serde::Deserialize;

use crate::digest::Digest;
use crate::platform::Platform;

/// The kinds that are understood, as an `Accept` header.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// The most layers that one overlay mount takes.
const MOST_LAYERS: usize = 500;

/// Names content, by digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

impl Descriptor {
    pub(crate) fn new(digest: Digest, size: u64) -> Self {
        Self { media_type: String::new(), digest, size, platform: None }
    }
}

/// The parts of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// What a digest or tag can stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// Several images, one of which runs here.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// Reads a document; the error says what is wrong with it.
pub(crate) fn parse(bytes: &[u8], sent_as: &str) -> Result<Document, String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if raw.schema_version == 1 || sent_as.contains("manifest.v1+") && !sent_as.contains("oci") {
        return Err("it has the old schema 1; push the image again with a current tool".into());
    }
    let kind = raw.media_type.as_deref().unwrap_or(sent_as);
    let says_index = kind.contains("index") || kind.contains("manifest.list");
    match (raw.manifests, raw.config, raw.layers) {
        (Some(_), _, Some(_)) | (Some(_), Some(_), _) => {
            Err("it is an index and a manifest at the same time".into())
        }
        (Some(manifests), None, None) => Ok(Document::Index(manifests)),
        (None, Some(_), _) if says_index => Err("it is called an index, but is none".into()),
        (None, Some(config), layers) => {
            let layers = layers.unwrap_or_default();
            check_manifest(Manifest { config, layers }).map(Document::Manifest)
        }
        (None, None, _) => Err("it is neither an index nor a manifest".into()),
    }
}

fn check_manifest(manifest: Manifest) -> Result<Manifest, String> {
    let kind = manifest.config.media_type.as_str();
    let image = matches!(
        kind,
        "" | "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
            | "application/octet-stream"
    );
    if !image {
        return Err(format!("it is no container image but `{kind}`"));
    }
    match manifest.layers.len() {
        count if count > MOST_LAYERS => {
            Err(format!("it has {count} layers; at most {MOST_LAYERS} can be mounted"))
        }
        _ => Ok(manifest),
    }
}

/// The entry of an index that runs best on the platform; else what it offers.
pub(crate) fn choose<'a>(
    index: &'a [Descriptor],
    wanted: &Platform,
) -> Result<&'a Descriptor, Vec<Platform>> {
    if let [only @ Descriptor { platform: None, .. }] = index {
        return Ok(only);
    }
    let fits = |entry: &&Descriptor| entry.platform.as_ref().and_then(|p| wanted.distance(p));
    let best = index.iter().filter(|entry| fits(entry).is_some()).min_by_key(fits);
    best.ok_or_else(|| {
        let offered = index.iter().filter_map(|entry| entry.platform.clone());
        // Attestations are listed under a platform that no machine has.
        offered.filter(|platform| platform.os != "unknown").collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(content: &str, platform: Option<Platform>) -> Descriptor {
        Descriptor { platform, ..Descriptor::new(Digest::of(content.as_bytes()), 1) }
    }

    fn json(digest: &Digest) -> String {
        format!(r#"{{"digest":"{digest}","size":3}}"#)
    }

    #[test]
    fn documents_are_told_apart_by_their_content() {
        let part = json(&Digest::of(b"x"));
        let cases = [
            (format!(r#"{{"config":{part},"layers":[{part}]}}"#), "", "manifest"),
            (format!(r#"{{"schemaVersion":2,"manifests":[{part}]}}"#), "", "index"),
            (
                format!(r#"{{"manifests":[],"config":{part},"layers":[]}}"#),
                "",
                "it is an index and a manifest at the same time",
            ),
            (
                format!(r#"{{"config":{part},"layers":[]}}"#),
                "application/vnd.oci.image.index.v1+json",
                "it is called an index, but is none",
            ),
            (
                r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
                "",
                "it has the old schema 1; push the image again with a current tool",
            ),
            ("{}".to_owned(), "", "it is neither an index nor a manifest"),
            (
                format!(
                    r#"{{"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json",{}}}"#,
                    &part[1..]
                ),
                "",
                "it is no container image but `application/vnd.cncf.helm.config.v1+json`",
            ),
        ];
        for (text, sent_as, expected) in cases {
            let found = match parse(text.as_bytes(), sent_as) {
                Ok(Document::Index(_)) => "index".to_owned(),
                Ok(Document::Manifest(_)) => "manifest".to_owned(),
                Err(problem) => problem,
            };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_nearest_platform_is_chosen() {
        let arm =
            |variant: &str| Platform { variant: Some(variant.into()), ..Platform::linux("arm") };
        let unknown = Platform { os: "unknown".into(), ..Platform::linux("unknown") };
        let index = [
            descriptor("amd64", Some(Platform::linux("x86_64"))),
            descriptor("v6", Some(arm("v6"))),
            descriptor("v7", Some(arm("v7"))),
            descriptor("attestation", Some(unknown)),
        ];
        assert_eq!(choose(&index, &arm("v7")), Ok(&index[2]));
        assert_eq!(choose(&index, &arm("v6")), Ok(&index[1]));
        assert_eq!(choose(&index, &Platform::linux("x86_64")), Ok(&index[0]));
        let offered = choose(&index, &Platform::linux("riscv64")).unwrap_err();
        assert_eq!(offered.len(), 3);
        let bare = [descriptor("any", None)];
        assert_eq!(choose(&bare, &Platform::linux("riscv64")), Ok(&bare[0]));
    }
}
