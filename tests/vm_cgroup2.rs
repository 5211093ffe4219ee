//! The same under cgroup v2 alone and another kernel, in a small virtual machine: hello, a limit,
//! a restart, a drift, a reboot.
#![cfg(target_arch = "x86_64")]

#[path = "support/guest.rs"]
mod guest;

use guest::Guest;
use std::path::Path;

#[test]
fn cgroup_v2_runs_limits_restarts_drifts_and_reboots() {
    let guest = Guest::new("vm_cgroup2", 400);
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stacks/hello");
    for script in ["first-boot.sh", "second-boot.sh"] {
        guest.boot(&["-t", "900"], script, &hello);
    }
}
