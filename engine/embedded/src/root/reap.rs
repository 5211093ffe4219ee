//! `keel reap ROOT ID`: a shim's last act for a task that removes itself. Hidden.

use crate::runtime::cgroup::Home;
use crate::{Embedded, Layout, LockError, Options, RootLock};
use futures_util::StreamExt;
use keel_engine::{Engine, EngineError, Result, TaskId};
use std::time::Duration;

/// How long the removal may take; what is left then is the next driver's.
const PATIENCE: Duration = Duration::from_secs(60);

/// Leaves the cgroup of shims, whose last act may have started this process: it cannot take away
/// what it is in.
pub fn leave_shims(layout: &Layout) {
    // Where there is none, there is nothing to leave.
    let _ = Home::of(&layout.cgroup()).ok().flatten().map(|home| home.leave());
}

/// Removes a task that has ended and removes itself, if nobody else drives the root: whoever holds
/// its lock does it by itself.
pub async fn reap(layout: Layout, options: Options, id: &TaskId) -> Result<()> {
    let _lock = match RootLock::acquire(&layout, "keel reap", false) {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return Ok(()),
        Err(error) => return Err(EngineError::failed("cannot lock the root", error)),
    };
    let assignment = layout.task(id).assignment();
    let engine = Embedded::open(layout, Options { drive: true, ..options }).await?;
    let mut events = engine.events();
    let gone = async { while assignment.exists() && events.next().await.is_some() {} };
    // Too late is no failure: its wish stands.
    let _ = tokio::time::timeout(PATIENCE, gone).await;
    engine.close().await;
    Ok(())
}
