//! An engine behind a stream of bytes: every call, answer, event and frame is encoded with the version that
//! speaks, carried over, and decoded on the other side. What passes the contract here does not depend on both
//! sides being one process.
//!
//! # Invariants
//! - A call is a stream of its own, and so are events and conversations. Neither side sends more on a stream
//!   than the other has given credit for, so whoever does not read stops whoever writes, and nobody else.
//! - Each direction of a stream ends for itself: `End` says that nothing more is sent, `Gone` that nothing more
//!   is read.
//! - Calls arrive in the order in which they were made; leases are released, and listeners begin to listen,
//!   in that order as well.
//! - What a connection holds ends with it: leases, conversations, listeners.

mod far;
mod near;
mod packet;
mod streams;
#[cfg(test)]
mod tests;

pub use far::serve;
pub use near::Near;

use keel_engine::Engine;
use std::sync::Arc;

/// So many bytes are on their way at most before the one who writes waits.
const BUFFER: usize = 64 << 10;

/// The same engine behind bytes, served for as long as anything of the other side is there. Needs a tokio
/// runtime.
#[must_use]
pub fn behind(engine: Arc<dyn Engine>) -> Near {
    let (here, there) = tokio::io::duplex(BUFFER);
    tokio::spawn(serve(engine, there));
    Near::connect(here)
}
