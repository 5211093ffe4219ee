//! The image `keel.local/hello`, made of keel's own executable: something to run where there is no
//! registry, and no internet.
//!
//! # Invariants
//! - The same executable gives the same digests, on every machine and at every time.
//! - The executable in the image is a copy: a container's root that could write to it would
//!   otherwise write to the program that runs everything.
//! - It must be static, since the image holds nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::intake;
use crate::manifest::Descriptor;
use crate::platform::Platform;
use crate::store::Store;
use keel_names::Digest;
use keel_names::Reference;

const REPOSITORY: &str = "hello";

/// What tells, without reading it, that the executable is the one that the image was made of.
/// Unknown fields are ignored: others may add some.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MadeOf {
    version: String,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The built-in image of that name, made now if the executable is another than last time.
pub(crate) fn resolve(store: &Store, reference: &Reference, executable: &Path) -> Result<Image> {
    if reference.repository() != REPOSITORY {
        return Err(Error::NotBuiltIn { reference: reference.clone() });
    }
    let made_of = MadeOf::look_at(executable)?;
    let note = store.folder().join("hello.json");
    if noted(&note).as_ref() == Some(&made_of)
        && let Some(image) = known(store, reference)?
    {
        return Ok(image);
    }
    let image = make(store, reference, executable)?;
    let text = serde_json::to_vec(&made_of).expect("numbers are JSON");
    let mut file = store.staging().file()?;
    file.write(&text)?;
    file.place(&note)?;
    Ok(image)
}

fn known(store: &Store, reference: &Reference) -> Result<Option<Image>> {
    match store.record(reference)? {
        Some(record) => store.find(record.digest, &Platform::host()),
        None => Ok(None),
    }
}

fn noted(note: &Path) -> Option<MadeOf> {
    serde_json::from_slice(&std::fs::read(note).ok()?).ok()
}

impl MadeOf {
    fn look_at(executable: &Path) -> Result<Self> {
        let is = std::fs::metadata(executable).map_err(Error::io("read", executable))?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").into(),
            device: is.dev(),
            inode: is.ino(),
            size: is.size(),
            modified: (is.mtime(), is.mtime_nsec()),
            changed: (is.ctime(), is.ctime_nsec()),
        })
    }
}

fn make(store: &Store, reference: &Reference, executable: &Path) -> Result<Image> {
    let (digest, size) =
        archive(executable).and_then(Digest::of_reader).map_err(Error::io("read", executable))?;
    if !store.has_layer(digest) {
        let stream = archive(executable).map_err(Error::io("read", executable))?;
        let taken = intake::take_plain(store.staging(), Descriptor::new(digest, size), stream)?;
        store.place_layer(taken, digest, digest)?;
    }
    let config = config(digest);
    store.put_document(&config)?;
    let manifest = store.put_document(&manifest(&config, digest, size))?;
    let image = store.commit(reference, manifest, manifest)?;
    image.ok_or_else(|| Error::Contended { reference: reference.clone() })
}

/// The layer: an archive with one file.
fn archive(executable: &Path) -> io::Result<impl Read> {
    let file = File::open(executable)?;
    let size = file.metadata()?.len();
    let mut header = tar::Header::new_ustar();
    header.set_path("keel")?;
    header.set_size(size);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let start = io::Cursor::new(header.as_bytes().to_vec());
    let padding = io::repeat(0).take(size.wrapping_neg() % 512 + 1024);
    Ok(start.chain(file.take(size)).chain(padding))
}

/// Values without a time or a host in them, with sorted keys: equal input, equal bytes.
fn config(layer: Digest) -> Vec<u8> {
    let platform = Platform::host();
    let labels = json!({
        "org.opencontainers.image.title": "hello",
        "org.opencontainers.image.description": "Evenkeel's built-in demo",
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
    });
    let config = json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {
            "Entrypoint": ["/keel", "hello"],
            "Env": ["PATH=/"],
            "ExposedPorts": { "80/tcp": {} },
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created_by": "keel" }],
    });
    serde_json::to_vec(&config).expect("it is JSON")
}

fn manifest(config: &[u8], layer: Digest, layer_size: u64) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(config),
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer,
            "size": layer_size,
        }],
    });
    serde_json::to_vec(&manifest).expect("it is JSON")
}
