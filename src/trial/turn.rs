//! One command at a time works on a pool to try.
//!
//! # Invariants
//! - The lock is the kernel's, on the folder of the root: it ends with its holder, and leaves no file behind.
//! - A process that was just started holds it, too, until it runs its own program: whoever gets the lock finds every
//!   process by what it was started with.

use super::places::Trial;
use crate::failure::{Failure, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::time::Duration;
use tokio::time::Instant;

/// How long another command may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);

/// The right to work on it, until it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock ends with it")] File);

impl Turn {
    /// Waits for it a little. The root must be there.
    pub async fn take(trial: &Trial) -> Result<Self> {
        let shown = trial.root().display();
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Failure::caused(format!("cannot lock `{shown}`"), error)
        };
        let folder = File::open(trial.root()).map_err(|error| cannot(&error))?;
        let began = Instant::now();
        loop {
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(folder)),
                Err(Errno::WOULDBLOCK) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(Errno::WOULDBLOCK) => {
                    let message = format!("another `keel pool try` works below `{shown}`");
                    return Err(Failure::new(message).hint("wait until it is done, or end it"));
                }
                Err(error) => return Err(cannot(&error)),
            }
        }
    }
}
