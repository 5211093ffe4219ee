//! Wishes as they go to a node: one message for each, and content beside it as the bytes that it is, so that
//! neither side ever has all of a tree in memory.

use super::body::{BodyError, with_length};
use bytes::Bytes;
use keel_engine::tree::{EntryKind, Files, Tree, TreeEntry};
use keel_engine::{Assignment, Digest, EngineError, Lease, wire};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Bytes that are handed on at a time.
pub(super) const PART: usize = 64 << 10;

/// One message of a parcel.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Piece {
    /// The first: under which lease.
    Under(Option<Lease>),
    /// A wish that has no content beside it.
    Wish(Assignment),
    /// Content; its bytes follow.
    Content { digest: Digest, size: u64 },
    /// A tree; its entries follow.
    Tree { digest: Digest },
    /// An entry.
    Folder { path: Name },
    /// An entry.
    Link { path: Name, target: Name },
    /// An entry; its bytes follow.
    File { path: Name, executable: bool, size: u64 },
    /// The tree has no more entries.
    TreeEnd,
    /// There are no more wishes. A parcel without it was cut short.
    End,
}

/// A path: bytes, and nearly always text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

impl Name {
    fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }

    pub(super) fn into_path(self) -> PathBuf {
        match self {
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => OsString::from_vec(bytes).into(),
        }
    }
}

/// Why wishes could not be put together.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackError {
    #[error(transparent)]
    Sealed(#[from] EngineError),
    #[error(transparent)]
    Message(#[from] BodyError),
    #[error("cannot read {} to send it to a node", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The other side takes no more; what it answered says why.
    #[error("the node stopped reading the assignment")]
    Untaken(#[source] io::Error),
}

/// Writes wishes, in their order.
pub(super) fn pack(
    lease: Option<&Lease>,
    wishes: &[Assignment],
    to: impl Write,
) -> Result<(), PackError> {
    let mut to = BufWriter::with_capacity(PART, to);
    say(&Piece::Under(lease.cloned()), &mut to)?;
    for wish in wishes {
        match wish {
            Assignment::Content(content) => {
                let (digest, size) = (content.digest, content.bytes.len() as u64);
                say(&Piece::Content { digest, size }, &mut to)?;
                to.write_all(&content.bytes).map_err(PackError::Untaken)?;
            }
            Assignment::Tree(tree) => pack_tree(tree, &mut to)?,
            Assignment::Image { .. }
            | Assignment::Network { .. }
            | Assignment::Volume { .. }
            | Assignment::Task(_) => say(&Piece::Wish(wish.clone()), &mut to)?,
        }
    }
    say(&Piece::End, &mut to)?;
    to.flush().map_err(PackError::Untaken)
}

fn say(piece: &Piece, to: &mut impl Write) -> Result<(), PackError> {
    to.write_all(&with_length(&wire::seal(piece)?)?).map_err(PackError::Untaken)
}

fn pack_tree(tree: &Tree, to: &mut impl Write) -> Result<(), PackError> {
    say(&Piece::Tree { digest: tree.digest }, to)?;
    for TreeEntry { path, kind } in tree.entries() {
        let name = Name::of(path);
        match kind {
            EntryKind::Folder => say(&Piece::Folder { path: name }, to)?,
            EntryKind::Link(target) => {
                say(&Piece::Link { path: name, target: Name::of(target) }, to)?;
            }
            EntryKind::File { executable, .. } => {
                pack_file(tree.files(), path, *executable, to)?;
            }
        }
    }
    say(&Piece::TreeEnd, to)
}

/// The size is that of what is read: what the tree says of it may be about another time.
fn pack_file(
    files: &dyn Files,
    path: &Path,
    executable: bool,
    to: &mut impl Write,
) -> Result<(), PackError> {
    let failed = |error| PackError::File(path.to_owned(), error);
    let (mut content, size): (Box<dyn Read>, u64) = match files.open(path).map_err(failed)? {
        Some(file) => {
            let size = file.metadata().map_err(failed)?.len();
            (Box::new(file), size)
        }
        None => {
            let content = files.read(path).map_err(failed)?;
            let size = content.len() as u64;
            (Box::new(io::Cursor::new(content)), size)
        }
    };
    say(&Piece::File { path: Name::of(path), executable, size }, to)?;
    let (mut buffer, mut left) = (vec![0; PART], size);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PART).min(PART);
        content.read_exact(&mut buffer[..most]).map_err(failed)?;
        to.write_all(&buffer[..most]).map_err(PackError::Untaken)?;
        left -= most as u64;
    }
    Ok(())
}

/// A pipe from a thread that may wait to a stream.
pub(super) struct PipeWriter(pub(super) mpsc::Sender<Bytes>);

/// The way back.
pub(super) struct PipeReader {
    parts: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl PipeReader {
    pub(super) fn new(parts: mpsc::Receiver<Bytes>) -> Self {
        Self { parts, rest: Bytes::new() }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(&bytes[..bytes.len().min(PART)]);
        let length = part.len();
        self.0.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.rest = part,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(into.len());
        into[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Peers of other versions read and write them.
    #[test]
    fn pieces_have_the_form_that_they_always_had() {
        let lease = Lease { holder: "serve".into(), epoch: 1, number: 2, term: None };
        let digest = Digest::of(b"x");
        let (path, odd) = (Name::Text("a/b".into()), Name::Bytes(vec![255]));
        let forms = [
            (Piece::Under(None), json!({"under": null})),
            (
                Piece::Under(Some(lease)),
                json!({"under": {"holder": "serve", "epoch": 1, "number": 2}}),
            ),
            (Piece::Content { digest, size: 3 }, json!({"content": {"digest": digest, "size": 3}})),
            (Piece::Tree { digest }, json!({"tree": {"digest": digest}})),
            (Piece::Folder { path: odd.clone() }, json!({"folder": {"path": [255]}})),
            (
                Piece::Link { path: path.clone(), target: odd },
                json!({"link": {"path": "a/b", "target": [255]}}),
            ),
            (
                Piece::File { path, executable: true, size: 3 },
                json!({"file": {"path": "a/b", "executable": true, "size": 3}}),
            ),
            (Piece::TreeEnd, json!("tree-end")),
            (Piece::End, json!("end")),
        ];
        for (piece, form) in forms {
            assert_eq!(serde_json::to_value(&piece).unwrap(), form);
            let read: Piece = serde_json::from_value(form.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), form);
        }
    }
}
