//! How much a peer may send, and how long anything may take.

use std::time::Duration;

/// Bytes that may be on their way on one stream before the reader has taken any of them. It bounds what a slow
/// reader costs, and how fast a stream is over a long way: 5 MB/s at 50 ms.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;

/// Bytes of a stream that wait for the connection to take them.
pub(super) const SEND_BUFFER: usize = 64 << 10;

/// Sessions of one node at a time.
pub(super) const SESSIONS: usize = 256;

/// Calls to one node at a time, and leases.
pub(super) const CALLS: usize = 256;

/// Wishes that are handed over to one node at a time: only these have content in memory or on disk.
pub(super) const UPLOADS: usize = 4;

/// All of it, and some for what ends just now.
pub(super) const STREAMS: u32 = 1024;

/// On one connection: all sessions whose reader is slow leave as much again for what is not.
pub(super) const CONNECTION_WINDOW: u32 = 2 * SESSIONS as u32 * STREAM_WINDOW;

/// What h2 allows for the cost of small frames that nobody has read yet. Windows bound them here: the smallest
/// frame of a session has six bytes, and h2 counts up to 256 for it.
pub(super) const SMALL_FRAMES: usize = CONNECTION_WINDOW as usize / 6 * 256;

/// Names and values of a request or an answer, all together.
pub(super) const HEADERS: u32 = 8 << 10;

/// What both sides say of themselves.
pub(super) const HELLO: usize = 16 << 10;

/// A question of a node that is not connected, or its answer.
pub(super) const QUESTION: usize = 64 << 10;

/// A beat, or the answer to one.
pub(super) const BEAT: usize = 256;

/// How much a peer may send, and how long anything may take. The defaults are for use; tests have less patience.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one call or answer, or of one wish without the content that goes with it.
    pub message: usize,
    /// Bytes of all contents (configs, secrets) of one call, which a node holds in memory.
    pub content: u64,
    /// Bytes of all files of one tree, which a node puts on its disk.
    pub tree: u64,
    /// Until the connection is there and both sides have proved who they are.
    pub handshake: Duration,
    /// Until both sides have said their versions.
    pub hello: Duration,
    /// Between two beats, give or take a tenth.
    pub beat: Duration,
    /// A connection is dead on which so long nothing was heard.
    pub silence: Duration,
    /// Until the next part comes of what is to come in one go, or is taken.
    pub stall: Duration,
    /// Until a call is answered that looks, or writes a little.
    pub answer: Duration,
    /// Until a call is answered that works through files: a sweep, usage, wishes with their content.
    pub long_answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 64 << 20,
            content: 256 << 20,
            tree: 64 << 30,
            handshake: Duration::from_secs(5),
            hello: Duration::from_secs(5),
            beat: Duration::from_secs(2),
            silence: Duration::from_secs(6),
            stall: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            long_answer: Duration::from_secs(900),
        }
    }
}
