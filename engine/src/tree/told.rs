//! How a tree travels: each file's content beside its name.

use super::{EntryKind, Tree, TreeEntry, TreeError};
use crate::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
struct Told {
    digest: Digest,
    entries: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    path: Name,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Folder {},
    Link(Name),
    File { executable: bool, base64: String },
}

/// Names are bytes, and nearly always text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes { base64: String },
}

impl Name {
    fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes { base64: STANDARD.encode(path.as_os_str().as_bytes()) },
        }
    }

    fn path(self) -> Result<PathBuf, base64::DecodeError> {
        Ok(match self {
            Self::Text(text) => text.into(),
            Self::Bytes { base64 } => OsString::from_vec(STANDARD.decode(base64)?).into(),
        })
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let item = |entry: &TreeEntry| {
            let kind = match &entry.kind {
                EntryKind::Folder => Kind::Folder {},
                EntryKind::Link(target) => Kind::Link(Name::of(target)),
                EntryKind::File { executable, .. } => {
                    let content = self.files.read(&entry.path).map_err(ser::Error::custom)?;
                    Kind::File { executable: *executable, base64: STANDARD.encode(content) }
                }
            };
            Ok(Item { path: Name::of(&entry.path), kind })
        };
        let entries = self.entries.iter().map(item).collect::<Result<_, S::Error>>()?;
        Told { digest: self.digest, entries }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let told = Told::deserialize(deserializer)?;
        read(told).map_err(de::Error::custom)
    }
}

#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("it is not in base64")]
    Form(#[from] base64::DecodeError),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

fn read(told: Told) -> Result<Tree, Wrong> {
    let (mut entries, mut files) = (Vec::new(), BTreeMap::new());
    for Item { path, kind } in told.entries {
        let path = path.path()?;
        let kind = match kind {
            Kind::Folder {} => EntryKind::Folder,
            Kind::Link(target) => EntryKind::Link(target.path()?),
            Kind::File { executable, base64 } => {
                let content = STANDARD.decode(base64)?;
                let size = content.len() as u64;
                files.insert(path.clone(), content);
                EntryKind::File { executable, size }
            }
        };
        entries.push(TreeEntry { path, kind });
    }
    Ok(Tree::new(told.digest, entries, Arc::new(files))?)
}
