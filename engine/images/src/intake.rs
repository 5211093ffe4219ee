//! Takes a layer's compressed bytes and makes a checked blob and a checked, unpacked folder of
//! them: three threads, of which the first hashes and stores, the second inflates and hashes, and
//! the third writes the files.
//!
//! # Invariants
//! - Nothing leaves the staging folder before digest, size and diff-id are right.
//! - Wrong bytes are reported as such, even when they first show as a broken archive.
//! - A feeder that vanishes ends all three threads, and what they had made is removed.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::thread::ScopedJoinHandle;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::inflate::Inflate;
use crate::manifest::Descriptor;
use crate::pipe::{PipeWriter, pipe};
use crate::progress::{LayerStep, Progress, Report};
use crate::store::staging::{StagedFile, StagedFolder, Staging};
use crate::unpack::{Limits, UnpackError, Unpacked, unpack};
use keel_blocking::Started;
use keel_names::digest::{Digest, Hasher};
use keel_names::reference::BUILT_IN;

/// How many pieces off the network may wait for the disk.
const DEPTH: usize = 32;

/// What is to come, and where it is put.
pub(crate) struct Order {
    pub(crate) layer: Descriptor,
    pub(crate) diff_id: Digest,
    /// Who sends it, for errors.
    pub(crate) sender: String,
    /// Whether the compressed bytes are to be kept, too.
    pub(crate) keep_blob: bool,
}

/// A layer that is right in every respect, and not yet in its place.
pub(crate) struct Taken {
    pub(crate) blob: Option<StagedFile>,
    pub(crate) folder: StagedFolder,
    pub(crate) unpacked: Unpacked,
}

enum Message {
    Data(Bytes),
    End,
}

/// What a layer's bytes are put into, in order.
pub(crate) struct Feed<'a> {
    messages: mpsc::Sender<Message>,
    layer: Descriptor,
    done: u64,
    report: Report<'a>,
}

/// Starts the threads. The result comes when the feed is finished, or on the first error.
pub(crate) fn start<'a>(
    staging: &Staging,
    order: Order,
    report: Report<'a>,
) -> (Feed<'a>, Started<Result<Taken>>) {
    let (messages, receiver) = mpsc::channel(DEPTH);
    let feed = Feed { messages, layer: order.layer.clone(), done: 0, report };
    let staging = staging.clone();
    let task = keel_blocking::start(move || take(&staging, &order, receiver));
    (feed, task)
}

impl Feed<'_> {
    /// Whether to go on; not when the threads have given up.
    pub(crate) async fn take(&mut self, bytes: Bytes) -> bool {
        self.done += bytes.len() as u64;
        self.tell(LayerStep::Downloading { done: self.done, total: self.layer.size });
        self.messages.send(Message::Data(bytes)).await.is_ok()
    }

    /// The connection broke and will be tried again.
    pub(crate) fn interrupted(&self, reason: String) {
        self.tell(LayerStep::Retrying { reason });
    }

    /// That was all. A feed that is dropped instead is given up.
    pub(crate) async fn finish(self) {
        self.tell(LayerStep::Unpacking);
        // Threads that have given up say why in their result.
        let _ = self.messages.send(Message::End).await;
    }

    fn tell(&self, step: LayerStep) {
        (self.report)(Progress::Layer { layer: self.layer.digest, step });
    }
}

/// The same for a layer that is not compressed and made here: no blob, no feeder, two threads less.
pub(crate) fn take_plain(staging: &Staging, layer: Descriptor, stream: impl Read) -> Result<Taken> {
    let order =
        Order { diff_id: layer.digest, layer, sender: BUILT_IN.to_owned(), keep_blob: false };
    let folder = staging.folder()?;
    let root = File::open(folder.root()).map_err(Error::io("open", folder.root()))?;
    let mut hashed = Hashed { stream, hasher: Hasher::default() };
    let unpacked = unpack(&mut hashed, &root, Limits::for_blob(order.layer.size))
        .map_err(|source| unpack_error(&order, source))?;
    check_blob(&order, hashed.hasher.finish())?;
    sync(&root, &folder)?;
    Ok(Taken { blob: None, folder, unpacked })
}

struct Hashed<R> {
    stream: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

fn take(staging: &Staging, order: &Order, messages: mpsc::Receiver<Message>) -> Result<Taken> {
    let mut blob = order.keep_blob.then(|| staging.file()).transpose()?;
    let folder = staging.folder()?;
    let root = File::open(folder.root()).map_err(Error::io("open", folder.root()))?;
    let limits = Limits::for_blob(order.layer.size);
    let (received, inflated, unpacked) = std::thread::scope(|scope| {
        let (to_inflate, compressed) = pipe();
        let (to_unpack, plain) = pipe();
        let inflate = scope.spawn(move || inflate(compressed, to_unpack, most_plain));
        let root = &root;
        let unpack = scope.spawn(move || unpack(plain, root, limits));
        let received = receive(messages, blob.as_mut(), to_inflate);
        (received, joined(inflate), joined(unpack))
    });
    check_blob(order, received?)?;
    let unpacked = unpacked.map_err(|source| unpack_error(order, source))?;
    // There is one whenever the unpacker came to the end.
    check_diff_id(order, inflated.unwrap_or_else(|| Digest::of(&[])))?;
    sync(&root, &folder)?;
    Ok(Taken { blob, folder, unpacked })
}

/// One for all files of the layer: each on its own would take minutes.
fn sync(root: &File, folder: &StagedFolder) -> Result<()> {
    let synced = rustix::fs::syncfs(root);
    synced.map_err(|error| Error::io("sync", folder.root())(error.into()))
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Hashes all that comes, stores it, and hands it on for as long as somebody wants it.
fn receive(
    mut messages: mpsc::Receiver<Message>,
    mut blob: Option<&mut StagedFile>,
    onward: PipeWriter,
) -> Result<(Digest, u64)> {
    let mut hasher = Hasher::default();
    let mut wanted = true;
    loop {
        match messages.blocking_recv() {
            Some(Message::Data(bytes)) => {
                hasher.update(&bytes);
                if let Some(blob) = &mut blob {
                    blob.write(&bytes)?;
                }
                wanted = wanted && onward.send(bytes);
            }
            Some(Message::End) => {
                onward.finish();
                return Ok(hasher.finish());
            }
            None => {
                let gone =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer was given up");
                return Err(Error::io("receive", "a layer")(gone));
            }
        }
    }
}

/// The digest of the plain stream. When the unpacker has stopped, its error is the one to tell.
/// `most` is how long that may be, by how much came.
fn inflate(compressed: impl Read, onward: PipeWriter, most: impl Fn(u64) -> u64) -> Option<Digest> {
    let (mut hasher, mut plain) = (Hasher::default(), 0);
    let came = Cell::new(0);
    let mut stream = match Inflate::new(Counted { stream: compressed, came: &came }) {
        Ok(stream) => stream,
        Err(error) => {
            onward.fail(error);
            return None;
        }
    };
    loop {
        let mut buffer = vec![0; 128 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => buffer.truncate(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                onward.fail(error);
                return None;
            }
        }
        hasher.update(&buffer);
        plain += buffer.len() as u64;
        // By what came, not by what was announced: that is as large as its author likes.
        if plain > most(came.get()) {
            onward.fail(io::Error::other("it is many times larger than its blob: a bomb"));
            return None;
        }
        if !onward.send(buffer.into()) {
            return None;
        }
    }
    onward.finish();
    Some(hasher.finish().0)
}

fn most_plain(came: u64) -> u64 {
    Limits::for_blob(came).stream
}

/// Counts what is read.
struct Counted<'a, R> {
    stream: R,
    came: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.came.set(self.came.get() + read as u64);
        Ok(read)
    }
}

fn check_blob(order: &Order, (digest, size): (Digest, u64)) -> Result<()> {
    let (expected, registry) = (order.layer.digest, order.sender.clone());
    if digest != expected {
        return Err(Error::WrongDigest { what: "layer", registry, expected, got: digest });
    }
    match size == order.layer.size {
        true => Ok(()),
        false => Err(Error::WrongSize {
            what: "layer",
            digest,
            registry,
            expected: order.layer.size,
            got: size,
        }),
    }
}

fn check_diff_id(order: &Order, got: Digest) -> Result<()> {
    let (layer, expected) = (order.layer.digest, order.diff_id);
    match got == expected {
        true => Ok(()),
        false => Err(Error::WrongDiffId { layer, expected, got }),
    }
}

fn unpack_error(order: &Order, source: UnpackError) -> Error {
    Error::Unpack { layer: order.layer.digest, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// What comes out at the other end.
    fn inflated(bytes: &[u8]) -> io::Result<u64> {
        let (writer, mut reader) = pipe();
        std::thread::scope(|scope| {
            scope.spawn(|| inflate(bytes, writer, |came| 1000 + 100 * came));
            io::copy(&mut reader, &mut io::sink())
        })
    }

    #[test]
    fn what_inflates_beyond_measure_is_given_up() {
        let zeros = vec![0; 30 << 20];
        let zstd = zstd::encode_all(&*zeros, 19).unwrap();
        for bomb in [gzip(&zeros), zstd, gzip(&zeros[..3 << 20]).repeat(5)] {
            let error = inflated(&bomb).unwrap_err();
            assert!(error.to_string().ends_with("a bomb"), "{error}");
        }
        let noise: Vec<u8> =
            (0_u32..1 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(inflated(&gzip(&noise)).unwrap(), 1 << 20);
        let members = [gzip(&noise), gzip(b""), gzip(&noise)].concat();
        assert_eq!(inflated(&members).unwrap(), 2 << 20, "members follow each other");
    }

    #[test]
    fn announced_sizes_of_bombs_have_an_end() {
        let limits = Limits::for_blob(1000);
        assert_eq!((limits.bytes, limits.entries), (4 << 30, 2_000_000));
        assert_eq!(Limits::for_blob(u64::MAX).stream, u64::MAX);
    }
}
