//! The documents that name an image's parts: indexes and manifests, of OCI's kind and Docker's.
//!
//! # Invariants
//! - What a document is follows from its own fields, and one that could be read both ways is
//!   refused: two readers must never see two images in one digest.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::platform::Platform;
use crate::strict::{self, Fold};
use keel_names::Digest;

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
    /// The old schema's layers.
    fs_layers: Option<IgnoredAny>,
}

/// What a media type calls a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Index,
    Manifest,
}

impl Kind {
    /// `None` for those that say nothing, such as `application/json`.
    fn named(media_type: &str) -> Option<Self> {
        let kind = media_type.to_ascii_lowercase();
        let has = |words: [&str; 2]| words.iter().any(|word| kind.contains(word));
        match () {
            () if has(["image.index", "manifest.list"]) => Some(Self::Index),
            () if has(["image.manifest", "distribution.manifest.v2"]) => Some(Self::Manifest),
            () => None,
        }
    }
}

/// Reads a document; the error says what is wrong with it.
pub(crate) fn parse(bytes: &[u8], sent_as: &str) -> Result<Document, String> {
    strict::check(bytes, Fold::Manifest)?;
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if raw.schema_version == 1
        || raw.fs_layers.is_some()
        || sent_as.contains("manifest.v1+") && !sent_as.contains("oci")
    {
        return Err("it has the old schema 1; push the image again with a current tool".into());
    }
    if !matches!(raw.schema_version, 0 | 2) {
        return Err(format!("it has the unknown schema {}", raw.schema_version));
    }
    let own = raw.media_type.as_deref().unwrap_or_default();
    let kinds = [own, sent_as].map(Kind::named);
    if let [Some(own), Some(sent)] = kinds
        && own != sent
    {
        return Err("its own media type and the one that it is sent as differ".into());
    }
    let says = |kind| kinds.contains(&Some(kind));
    match (raw.manifests, raw.config, raw.layers) {
        (Some(_), _, Some(_)) | (Some(_), Some(_), _) => {
            Err("it is an index and a manifest at the same time".into())
        }
        (Some(_), ..) if says(Kind::Manifest) => {
            Err("it is called a manifest, but is an index".into())
        }
        (Some(manifests), None, None) => Ok(Document::Index(manifests)),
        (None, Some(_), _) if says(Kind::Index) => Err("it is called an index, but is none".into()),
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
        return Err(format!("it is not a container image but `{kind}`"));
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
                format!(r#"{{"manifests":[{part}]}}"#),
                "application/vnd.docker.distribution.manifest.v2+json",
                "it is called a manifest, but is an index",
            ),
            (
                format!(
                    r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[{part}]}}"#
                ),
                "application/json",
                "it is called a manifest, but is an index",
            ),
            (
                format!(
                    r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{part}}}"#
                ),
                "application/vnd.oci.image.index.v1+json",
                "its own media type and the one that it is sent as differ",
            ),
            (
                format!(r#"{{"schemaVersion":2,"config":{part},"fsLayers":[]}}"#),
                "",
                "it has the old schema 1; push the image again with a current tool",
            ),
            (
                format!(r#"{{"config":{part},"layers":[]}}"#),
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "it has the old schema 1; push the image again with a current tool",
            ),
            (
                format!(r#"{{"schemaVersion":3,"config":{part},"layers":[]}}"#),
                "",
                "it has the unknown schema 3",
            ),
            (
                format!(r#"{{"layers":[],"config":{part},"Layers":[{part}]}}"#),
                "",
                "it has the key `Layers` twice at line 1 column 221",
            ),
            (
                format!(r#"{{"config":{part},"layers":[{}]}}"#, vec![part.clone(); 501].join(",")),
                "",
                "it has 501 layers; at most 500 can be mounted",
            ),
            (
                format!(
                    r#"{{"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json",{}}}"#,
                    &part[1..]
                ),
                "",
                "it is not a container image but `application/vnd.cncf.helm.config.v1+json`",
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
    fn only_one_spelling_of_a_digest_is_read() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let with = |digest: &str, size: &str| {
            let part = format!(r#"{{"digest":"{digest}","size":{size}}}"#);
            parse(format!(r#"{{"config":{part},"layers":[]}}"#).as_bytes(), "").is_ok()
        };
        assert!(with(&format!("sha256:{hex}"), "3"));
        let digests = [
            format!("sha256:{}", hex.to_uppercase()),
            format!("SHA256:{hex}"),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha256: {hex}"),
            format!("sha512:{hex}{hex}"),
            format!("sha256:../../{}", &hex[6..]),
            format!("sha256+b64:{hex}"),
            hex.to_owned(),
        ];
        for digest in digests {
            assert!(!with(&digest, "3"), "{digest}");
        }
        for size in ["-1", "3.5", "18446744073709551616", "\"3\"", "null"] {
            assert!(!with(&format!("sha256:{hex}"), size), "{size}");
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
