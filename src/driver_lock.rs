//! The root's lock, for whoever keeps it for life.

use crate::context::Context;
use crate::failure::Result;
use keel_embedded::{Layout, LockError, RootLock};
use std::time::Duration;
use tokio::time::Instant;

/// A command that holds the root for longer is named.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// Waits until no command holds the root. Another that stays for good is refused.
pub async fn for_life(context: &Context, layout: &Layout, who: &str) -> Result<RootLock> {
    let (began, mut told) = (Instant::now(), false);
    loop {
        match RootLock::acquire(layout, who, false) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { holder, .. }) if !holder.stays() => {
                // A turn is short, but for a pull.
                if began.elapsed() > WORTH_TELLING && !std::mem::replace(&mut told, true) {
                    context.screen.say(&format!("waiting for {holder}"));
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
