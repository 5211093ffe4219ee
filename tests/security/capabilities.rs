//! Capabilities and groups, all sets of them, at every door.

use super::bench::{Bench, filter_mode};
use super::doors;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The sets of a process: `CapEff` and its like, as a number.
#[track_caller]
fn set(door: &str, said: &str, name: &str) -> u64 {
    let line = said.lines().find(|line| line.starts_with(name)).expect(name);
    let text = line.split_whitespace().nth(1).unwrap();
    u64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{door}: {said}"))
}

/// CVE-2022-24769 and its like: nothing is inherited; CVE-2022-2989 and its like: a process has its
/// own group among its groups, and none of its caller's.
#[test]
fn another_user_has_no_capabilities_and_its_own_groups() {
    let bench = Bench::new();
    let (keys, flags) = (json!({ "user": "5:10" }), ["-u", "5:10"]);
    for (door, said) in doors::every(&bench, keys, &flags, &["prober", "caps"]) {
        // A command that is entered is of the container's user, too.
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(set(door, &said, name), 0, "{door}: {name}\n{said}");
        }
        let ids = |name: &str| {
            let line = said.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ids("Uid:"), ["5"; 4], "{door}");
        assert_eq!(ids("Gid:"), ["10"; 4], "{door}");
        assert_eq!(ids("Groups:"), ["10"], "{door}");
        assert!(said.contains(filter_mode()), "{door}: {said}");
    }
    bench.finish(&[]);
}

#[test]
fn what_is_dropped_is_dropped_at_every_door() {
    let bench = Bench::new();
    let keys = json!({ "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"] });
    let flags = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"];
    for (door, said) in doors::every(&bench, keys, &flags, &["prober", "caps"]) {
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
            assert_eq!(set(door, &said, name), 0, "{door}: {name}\n{said}");
        }
        assert!(said.contains("NoNewPrivs:\t1"), "{door}: {said}");
    }
    bench.finish(&[]);
}

/// Gives a file these capabilities, as `setcap` does: permitted, inheritable.
fn give(path: &Path, permitted: u32, inheritable: u32) {
    let script = "import os, struct, sys; os.setxattr(sys.argv[1], 'security.capability', \
                  struct.pack('<5I', 0x02000001, int(sys.argv[2]), int(sys.argv[3]), 0, 0))";
    let numbers = [permitted.to_string(), inheritable.to_string()];
    let done = Command::new("python3").args(["-c", script]).arg(path).args(numbers).status();
    assert!(done.unwrap().success());
}

/// Files of the image that would raise a plain user.
#[test]
fn files_raise_nobody_beyond_the_bounding_set() {
    let bench = Bench::new();
    let layer = bench.path("layer");
    fs::create_dir_all(layer.join("bin")).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/security/prober.c");
    let plain = layer.join("bin/plain");
    let built = Command::new("gcc").args(["-static", "-O1", "-o"]).arg(&plain).arg(source).status();
    assert!(built.unwrap().success());
    for (name, permitted, inheritable) in
        [("chown", 1, 0), ("inherits", 0, 1 << 12), ("admin", 1 << 12, 1 << 12)]
    {
        fs::copy(&plain, layer.join("bin").join(name)).unwrap();
        give(&layer.join("bin").join(name), permitted, inheritable);
    }
    fs::copy(&plain, layer.join("bin/setuid")).unwrap();
    fs::set_permissions(layer.join("bin/setuid"), fs::Permissions::from_mode(0o4755)).unwrap();
    let image = bench.image(&json!({}), Some(&layer));
    let run = |flags: &[&str], program: &str| {
        bench.keel(&[&["run", "--rm", "-u", "5:5"], flags, &[&image, program, "caps"]].concat())
    };
    let chown = run(&[], "chown").ok().stdout;
    assert_eq!(set("run", &chown, "CapEff"), 1, "the image's file capabilities are there: {chown}");
    let inherits = run(&[], "inherits").ok().stdout;
    assert_eq!(set("run", &inherits, "CapEff"), 0, "{inherits}");
    // The kernel does not execute what would ask for more than the bounding set has.
    assert_ne!(run(&[], "admin").code, 0);
    let raised = run(&[], "setuid").ok().stdout;
    assert_eq!(set("run", &raised, "CapEff"), 0xa804_25fb, "{raised}");
    assert!(raised.contains(filter_mode()), "{raised}");
    let tight = ["--security-opt", "no-new-privileges"];
    for program in ["chown", "setuid"] {
        let said = run(&tight, program).ok().stdout;
        assert_eq!(set("run", &said, "CapEff"), 0, "{program}: {said}");
    }
    bench.finish(&[]);
}
