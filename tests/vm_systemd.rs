//! Under systemd, in a small virtual machine: the units of `dist/`, what a stop leaves, what systemd
//! does to cgroups, a reboot.
#![cfg(target_arch = "x86_64")]

#[path = "support/guest.rs"]
mod guest;

use guest::Guest;
use std::path::Path;

#[test]
#[ignore = "two boots take some minutes; after a change to units, cgroups or the lock, by hand"]
fn systemd_starts_stops_and_reboots_us_and_leaves_our_cgroups_alone() {
    let guest = Guest::new("vm_systemd", 200);
    for script in ["first-boot.sh", "second-boot.sh"] {
        guest.boot(&["-s", "-t", "600"], script, Path::new(env!("CARGO_MANIFEST_DIR")));
    }
}
