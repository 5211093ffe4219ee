//! System calls past the filter: denied ones, by their own number, by a foreign architecture's, with
//! garbage in the upper half of an argument, at every door.

use super::bench::{Bench, result};
use super::doors;
use serde_json::json;

/// What a filter answers.
const REFUSED: [&str; 2] = ["EPERM", "ENOSYS"];

#[test]
fn what_the_default_profile_denies_is_denied_at_every_door() {
    let bench = Bench::new();
    // All rights that root has without being asked for.
    for (door, said) in doors::every(&bench, json!({}), &[], &["prober", "calls"]) {
        let tried: Vec<_> = said.lines().filter(|line| !line.starts_with("done")).collect();
        assert!(tried.len() > 60, "{door}: {said}");
        for line in tried {
            let answer = line.trim().split(' ').nth(1).unwrap_or_default();
            assert!(REFUSED.contains(&answer), "{door}: {line}");
        }
    }
    bench.finish(&[]);
}

#[test]
fn sockets_of_the_kernels_own_are_refused_at_every_door() {
    let bench = Bench::new();
    for (door, said) in doors::every(&bench, json!({}), &[], &["prober", "sockets"]) {
        for name in ["AF_ALG", "AF_ALG-high", "AF_VSOCK", "AF_VSOCK-high", "AF_VSOCK-negative"] {
            assert_eq!(result(&said, name), "EPERM", "{door}: {name}");
        }
        let open = said.lines().find(|line| line.starts_with("AF_") && line.contains(" ok "));
        assert_eq!(open, None, "{door}");
    }
    bench.finish(&[]);
}

/// A profile of one's own that allows by default: the number that it denies has two other names.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_denied_call_is_denied_by_its_foreign_numbers() {
    let bench = Bench::new();
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }],
    });
    let option = format!("seccomp={profile}");
    for option in ["", &option] {
        let flags: &[&str] = if option.is_empty() { &[] } else { &["--security-opt", option] };
        let x32 = bench.said(flags, &["prober", "x32", "83", "258"]);
        for name in ["x32 83", "x32 258"] {
            let answer = result(&x32, name);
            assert!(REFUSED.contains(&answer) || answer.starts_with("killed"), "{option}: {x32}");
        }
        let int80 = bench.said(flags, &["prober", "int80", "39", "296"]);
        for name in ["int80 39", "int80 296"] {
            let answer = result(&int80, name);
            assert!(REFUSED.contains(&answer) || answer.starts_with("killed"), "{option}: {int80}");
        }
    }
    let native = bench.run(&["--security-opt", &option], &["mkdir", "/made"]);
    assert!(native.code != 0 && native.stderr.contains("not permitted"), "{native:?}");
    bench.finish(&[]);
}
