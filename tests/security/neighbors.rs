//! Other containers, and the host's own processes, by number and by name.

use super::bench::{Bench, result};
use super::doors;
use serde_json::json;

#[test]
fn nothing_is_shared_by_name_or_number() {
    let bench = Bench::new();
    bench.keel(&["run", "-d", "--name", "maker", "prober:1", "prober", "ipc-make", "shared"]).ok();
    bench.until_said("maker", "done ipc-make");
    let own = bench.exec(&[], "maker", &["prober", "ipc-look", "shared"]).ok().stdout;
    for kind in ["abstract", "shm-sysv", "msg-sysv", "mqueue", "shm-posix"] {
        assert!(result(&own, kind).starts_with("ok"), "it is there to be found: {own}");
    }
    let looks: [&[&str]; 3] =
        [&[], &["--security-opt", "seccomp=unconfined"], &["--network", "host"]];
    for flags in looks {
        let said = bench.said(flags, &["prober", "ipc-look", "shared"]);
        for kind in ["abstract", "shm-sysv", "msg-sysv", "mqueue", "shm-posix"] {
            assert!(!result(&said, kind).starts_with("ok"), "{flags:?}: {said}");
        }
    }
    // One network does not make one of the rest.
    let said = bench.said(&["--network", "container:maker"], &["prober", "ipc-look", "shared"]);
    for kind in ["shm-sysv", "msg-sysv", "mqueue", "shm-posix"] {
        assert!(!result(&said, kind).starts_with("ok"), "{said}");
    }
    bench.finish(&[]);
}

#[test]
fn no_process_of_others_is_reached() {
    let bench = Bench::new();
    bench.idle("other", &[]);
    for (door, said) in doors::every(&bench, json!({}), &[], &["prober", "kill-all"]) {
        let reached: u32 = result(&said, "reached-all").parse().unwrap();
        // The shell or the init that it was started by, where there is one.
        assert!(reached <= 3, "{door}: {said}");
    }
    let said = bench.said(&["--network", "container:other"], &["prober", "kill-all"]);
    assert_eq!(result(&said, "reached-all"), "0", "{said}");
    let seen = bench.run(&[], &["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).ok().stdout;
    assert!(seen.trim().parse::<u32>().unwrap() <= 3, "{seen}");
    bench.finish(&[]);
}

/// Keyrings are no namespace: without one of its own a container has its starter's session.
#[test]
fn each_container_has_a_session_keyring_of_its_own() {
    let bench = Bench::new();
    let keys = json!({ "security_opt": ["seccomp=unconfined"] });
    let flags = ["--security-opt", "seccomp=unconfined"];
    let host = std::fs::read_to_string("/proc/keys").unwrap_or_default();
    let mut sessions = vec![];
    for (door, said) in doors::every(&bench, keys, &flags, &["prober", "keyring", "none"]) {
        let answer = result(&said, "session-id ").to_owned();
        let serial: i64 = answer.trim_start_matches("ok ").parse().unwrap_or(-1);
        assert!(!host.contains(&format!("{serial:08x} ")), "{door}: the host's session, {said}");
        sessions.push((door, serial));
    }
    let runs: Vec<_> = sessions.iter().filter(|(door, _)| door.starts_with("run")).collect();
    assert_ne!(runs[0].1, runs[1].1, "two containers have one session: {sessions:?}");
    bench.finish(&[]);
}
