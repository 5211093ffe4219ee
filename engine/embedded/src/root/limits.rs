//! What containers may feed the processes beside them; `docs/limits.md` has the same numbers.

use std::time::Duration;

/// Questions about names of one task that wait for an answer of the host's name servers at a time;
/// twice as many of its questions and TCP connections are open at all.
pub const NAMES_IN_FLIGHT: usize = 128;
/// Until a TCP connection says what it asks, and takes what it is answered.
pub const NAMES_IDLE: Duration = Duration::from_secs(10);
