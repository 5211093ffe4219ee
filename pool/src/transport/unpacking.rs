//! Reads wishes as they came: each is checked as it comes, and content that is no message goes to disk.

use super::body::LENGTH;
use super::limits::Limits;
use super::parcel::Piece;
use super::spool::{Spool, Spooled, StoreError};
use keel_engine::tree::{EntryKind, MOST_ENTRIES, Tree, TreeEntry, TreeError};
use keel_engine::wire::{self, WireError};
use keel_engine::{Assignment, Content, Digest, EngineError, Lease};
use std::io::{self, Read};
use std::sync::Arc;

/// An entry's message: two paths, each of whose bytes may take four letters.
const ENTRY: usize = 64 << 10;

/// Why a parcel is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("the assignment for this node ended early")]
    Line(#[source] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{what} of {bytes} bytes exceed this node's limit of {most}")]
    TooLong { what: &'static str, bytes: u64, most: u64 },
    #[error("the assignment for this node is malformed")]
    Disorder,
    #[error("content {0} does not match its digest")]
    Content(Digest),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("cannot store the files sent to this node")]
    Disk(#[source] io::Error),
}

impl From<UnpackError> for EngineError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Wire(error) => error.into(),
            UnpackError::Disk(source) => {
                Self::failed("cannot store the files sent to this node", source)
            }
            UnpackError::Line(_) => Self::failed("the assignment was not received", error),
            UnpackError::TooLong { .. }
            | UnpackError::Disorder
            | UnpackError::Content(_)
            | UnpackError::Tree(_) => Self::Unsupported { what: error.to_string(), hint: None },
        }
    }
}

/// What came in one parcel.
pub(super) struct Unpacked {
    pub(super) lease: Option<Lease>,
    pub(super) wishes: Vec<Assignment>,
}

/// Reads all of it. Waits for the disk, and for whoever sends.
pub(super) fn unpack(
    from: impl Read,
    spool: &Spool,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let mut parcel = Parcel { from, limits, messages: 0, contents: 0 };
    let Piece::Under(lease) = parcel.piece()? else { return Err(UnpackError::Disorder) };
    let mut wishes = Vec::new();
    loop {
        wishes.push(match parcel.piece()? {
            Piece::Wish(Assignment::Content(_) | Assignment::Tree(_)) => {
                return Err(UnpackError::Disorder);
            }
            Piece::Wish(wish) => wish,
            Piece::Content { digest, size } => Assignment::Content(parcel.content(digest, size)?),
            Piece::Tree { digest } => {
                let spooled = spool.begin().map_err(UnpackError::Disk)?;
                Assignment::Tree(parcel.tree(digest, spooled)?)
            }
            Piece::End => return Ok(Unpacked { lease, wishes }),
            Piece::Under(_)
            | Piece::Folder { .. }
            | Piece::Link { .. }
            | Piece::File { .. }
            | Piece::TreeEnd => return Err(UnpackError::Disorder),
        });
    }
}

struct Parcel<'a, R> {
    from: R,
    limits: &'a Limits,
    /// Bytes of messages so far, those of entries aside.
    messages: usize,
    /// Bytes of contents so far.
    contents: u64,
}

impl<R: Read> Parcel<'_, R> {
    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, UnpackError> {
        let mut bytes = Vec::new();
        // Room is made as the bytes come: a length is only an announcement.
        (&mut self.from).take(length as u64).read_to_end(&mut bytes).map_err(UnpackError::Line)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(UnpackError::Line(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn message(&mut self, most: usize) -> Result<(Piece, usize), UnpackError> {
        let mut length = [0; LENGTH];
        self.from.read_exact(&mut length).map_err(UnpackError::Line)?;
        let length = u32::from_be_bytes(length) as usize;
        within("messages", length as u64, most as u64)?;
        Ok((wire::open(&self.exactly(length)?)?, length))
    }

    fn piece(&mut self) -> Result<Piece, UnpackError> {
        let (piece, length) = self.message(self.limits.message.saturating_sub(self.messages))?;
        self.messages += length;
        Ok(piece)
    }

    fn content(&mut self, digest: Digest, size: u64) -> Result<Content, UnpackError> {
        self.contents = self.contents.saturating_add(size);
        within("configs and secrets", self.contents, self.limits.content)?;
        let length = usize::try_from(size).map_err(|_| UnpackError::Disorder)?;
        let content = Content::of(self.exactly(length)?);
        if content.digest == digest { Ok(content) } else { Err(UnpackError::Content(digest)) }
    }

    fn tree(&mut self, digest: Digest, mut files: Spooled) -> Result<Tree, UnpackError> {
        let (mut entries, mut bytes) = (Vec::new(), 0_u64);
        loop {
            if entries.len() > MOST_ENTRIES + 1 {
                return Err(TreeError::Many.into());
            }
            let (path, kind) = match self.message(ENTRY)?.0 {
                Piece::Folder { path } => (path.into_path(), EntryKind::Folder),
                Piece::Link { path, target } => {
                    (path.into_path(), EntryKind::Link(target.into_path()))
                }
                Piece::File { path, executable, size } => {
                    bytes = bytes.saturating_add(size);
                    within("the files of a mount", bytes, self.limits.tree)?;
                    let path = path.into_path();
                    files.store(path.clone(), size, &mut self.from).map_err(of_store)?;
                    (path, EntryKind::File { executable, size })
                }
                Piece::TreeEnd => return Ok(Tree::new(digest, entries, Arc::new(files))?),
                _ => return Err(UnpackError::Disorder),
            };
            entries.push(TreeEntry { path, kind });
        }
    }
}

fn of_store(error: StoreError) -> UnpackError {
    match error {
        StoreError::Disk(error) => UnpackError::Disk(error),
        StoreError::Line(error) => UnpackError::Line(error),
    }
}

fn within(what: &'static str, bytes: u64, most: u64) -> Result<(), UnpackError> {
    if bytes > most { Err(UnpackError::TooLong { what, bytes, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
