//! Which start of the machine this is: what is true of processes and of unsynced files ends with it.

use std::fs;
use std::sync::OnceLock;

/// The kernel's name of this boot; empty where it does not say.
#[must_use]
pub fn boot_id() -> String {
    // A process does not outlive it, and every look at every task asks.
    static BOOT: OnceLock<String> = OnceLock::new();
    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    BOOT.get_or_init(|| read().trim().to_owned()).clone()
}
