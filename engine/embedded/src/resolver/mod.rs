//! The process `keel net`: names inside containers (DNS at 127.0.0.11), and the elements of the
//! port tables. One per root; follows the tasks' records, so it needs no engine.

pub mod etc;

use crate::layout::Layout;
use keel_engine::TaskId;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Starts `keel net` for this root unless one runs: `PROGRAM net ROOT`, detached. Call it after a
/// task's endpoints are stored and before the task is launched. `program` is `/proc/self/exe`,
/// but in tests.
pub fn ensure(layout: &Layout, program: &Path) -> io::Result<()> {
    todo!()
}

/// Waits until names work inside the task's namespace, so that a program that asks at once gets
/// an answer. The order: shim started and stored in `work` (stage Ready), [`ensure`],
/// [`crate::network::connect`], this, then stage Launched. `false` when the time is over.
pub fn wait(layout: &Layout, id: &TaskId, limit: Duration) -> io::Result<bool> {
    todo!()
}

/// `keel net ROOT`: serves until no task needs it. The exit code.
#[must_use]
pub fn main(layout: &Layout) -> i32 {
    todo!()
}
