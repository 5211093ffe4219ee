//! `keel enter TASKDIR`: a further process inside of a running task. Hidden; the engine starts it
//! with the process's own stdio (pipes, or a terminal's slave as all three).
//!
//! File descriptor 3 carries one JSON [`keel_engine::Exec`] and its end. The exit status is the
//! process's (128 + signal), 126 or 127 where it could not be started, 125 where the task could
//! not be entered; the reason is then on standard error, in docker's words.

use std::path::Path;

/// Runs the process and waits for it.
#[must_use]
pub fn main(_dir: &Path) -> i32 {
    125
}
