//! When a process that runs for good is to end.

use crate::failure::{Failure, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Returns at Ctrl-C, or when systemd asks for the end.
pub async fn until_told() -> Result<()> {
    let failed = |error| Failure::caused("cannot listen for signals", &error);
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}
