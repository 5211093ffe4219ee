//! What whoever reaches the socket may use; `docs/limits.md` has the same numbers.

use std::time::Duration;

/// Connections that have not said yet what they want, all of it; beyond, the oldest is cut off.
pub const WAITING: usize = 128;
/// Requests that are being answered at a time; a further one is refused.
pub const REQUESTS: usize = 256;
/// Streams that last: logs, attach, exec, events, progress. A further one is refused.
pub const STREAMS: usize = 128;
/// Submissions of more than [`BODY`] that are taken at a time; a further one is refused.
pub const SUBMISSIONS: usize = 8;
/// Connections in all, with some room for those that are refused; beyond, they wait at the door.
pub const CONNECTIONS: usize = WAITING + REQUESTS + STREAMS + 64;
/// Until a request's headers are there.
pub const HEADERS: Duration = Duration::from_secs(10);
/// Until a request's body is there.
pub const BODY_TIME: Duration = Duration::from_secs(120);
/// Until somebody takes more of an answer, but for streams that last.
pub const TAKEN: Duration = Duration::from_secs(60);
/// Bytes of a request's headers.
pub const HEADERS_SIZE: usize = 64 << 10;
/// Bytes of a request's body, but for what carries a stack's content.
pub const BODY: usize = 1 << 20;
/// Bytes of a submission: base64 of configs and secrets.
pub const SUBMISSION: usize = 64 << 20;
