//! Under systemd, in a small virtual machine: the units of `dist/`, what a stop leaves, what systemd
//! does to cgroups, a reboot.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::process::{Command, Stdio};

/// Runs a script of `tests/vm_systemd/` in the guest.
#[track_caller]
fn boot(disk: &std::path::Path, script: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(format!("{root}/tests/vm"))
        .args(["-s", "-t", "600", "-d"])
        .arg(disk)
        .args(["--", "bash", &format!("{root}/tests/vm_systemd/{script}")])
        .arg(disk.with_file_name("keel"))
        .arg(root)
        .stdin(Stdio::null())
        .output()
        .expect("tests/vm runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{said}\n{errors}", output.status);
    assert!(said.contains("all well"), "{script} came to its end:\n{said}\n{errors}");
}

#[test]
fn systemd_starts_stops_and_reboots_us_and_leaves_our_cgroups_alone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    File::create(&disk).unwrap().set_len(200 << 20).unwrap();
    let made = Command::new("/sbin/mkfs.ext4").arg("-q").arg(&disk).status().unwrap();
    assert!(made.success());
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
