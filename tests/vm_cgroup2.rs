//! The same under cgroup v2 alone and another kernel, in a small virtual machine: hello, a limit,
//! a restart, a drift, a reboot.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::process::{Command, Stdio};

/// Runs a script of `tests/vm_cgroup2/` in the guest, with `keel` and the example at hand.
#[track_caller]
fn boot(disk: &std::path::Path, script: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(format!("{root}/tests/vm"))
        .args(["-t", "900", "-d"])
        .arg(disk)
        .args(["--", "bash", &format!("{root}/tests/vm_cgroup2/{script}")])
        .arg(disk.with_file_name("keel"))
        .arg(format!("{root}/examples/stacks/hello"))
        .stdin(Stdio::null())
        .output()
        .expect("tests/vm runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{said}\n{errors}", output.status);
    assert!(said.contains("all well"), "{script} came to its end:\n{said}\n{errors}");
}

#[test]
fn cgroup_v2_runs_limits_restarts_drifts_and_reboots() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    File::create(&disk).unwrap().set_len(400 << 20).unwrap();
    let made = Command::new("/sbin/mkfs.ext4").arg("-q").arg(&disk).status().unwrap();
    assert!(made.success());
    // The guest copies it about, slowly: without what only a debugger reads.
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(folder.path().join("keel"))
        .arg(env!("CARGO_BIN_EXE_keel"))
        .status()
        .unwrap();
    assert!(stripped.success());
    boot(&disk, "first-boot.sh");
    boot(&disk, "second-boot.sh");
}
