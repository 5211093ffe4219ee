//! What receivers and forges may answer; `docs/limits.md` has the same numbers.

use std::time::Duration;

/// Until a connection stands.
pub const CONNECT: Duration = Duration::from_secs(10);
/// For all of it: whoever takes longer hangs.
pub const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read: more than any that says something.
pub const BODY: usize = 16 << 10;
/// Nobody makes us wait for longer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
