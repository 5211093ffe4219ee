//! Whoever enters a container is seen there before it has become the container's program: its file,
//! its descriptors, its rights, its environment.

use super::bench::{Bench, result, service};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// Rounds of a race: few unless asked for.
fn rounds() -> usize {
    if std::env::var_os("KEEL_RACES").is_some() { 300 } else { 12 }
}

/// A container whose check runs five times a second, with these keys.
fn checked(bench: &Bench, keys: Value) {
    let check = json!({ "test": ["CMD", "true"], "interval": "100ms" });
    let mut box_ = service(keys);
    box_["command"] = json!(["sleep", "1000000"]);
    box_["healthcheck"] = check;
    bench.up("busy", &json!({ "services": { "box": box_ } })).ok();
    bench.until_well("busy-box-1");
}

/// `command` runs inside, as does by turns `true` with and without a terminal.
fn while_people_enter(bench: &Bench, command: &[&str]) -> String {
    let watcher = bench.beside("busy-box-1", command);
    for round in 0..rounds() {
        let flags: &[&str] = if round % 2 == 0 { &[] } else { &["-t"] };
        bench.exec(flags, "busy-box-1", &["true"]).ok();
    }
    let said = watcher.end();
    bench.witness.kept_from(&said);
    said
}

fn seconds() -> String {
    (rounds() / 3).to_string()
}

/// CVE-2019-5736, and page caches that are written to through files which can only be read.
#[test]
fn keels_file_is_neither_writable_nor_shared() {
    let bench = Bench::new();
    checked(&bench, json!({ "init": true }));
    let said = while_people_enter(&bench, &["prober", "watch-exe", &seconds()]);
    assert!(said.contains("done watch-exe"), "{said}");
    assert!(said.contains("exe "), "no program was seen:\n{said}");
    assert!(!said.contains("opened for writing"), "{said}");
    // An overlay's pages are the host's file's own.
    let shared = |line: &&str| line.starts_with("exe foreign") && line.ends_with("on 794c7630");
    assert_eq!(said.lines().find(shared), None, "{said}");
    let init = ["sh", "-c", "stat -f -c %T /sbin/docker-init; stat -c %i /sbin/docker-init"];
    let init = bench.exec(&[], "busy-box-1", &init).ok().stdout;
    let (kind, inode) = init.trim().split_once('\n').unwrap();
    let keel = fs::metadata(env!("CARGO_BIN_EXE_keel")).unwrap().ino().to_string();
    assert!(kind != "overlayfs" && inode != keel, "the init's pages are its own: {init}");
    let said = bench.exec(
        &[],
        "busy-box-1",
        &["prober", "open", "/sbin/docker-init", "w", "/proc/1/exe", "w", "/proc/1/exe", "rw"],
    );
    assert!(!said.ok().stdout.contains(" ok "), "the init can be written to");
    let remount = bench.exec(
        &[],
        "busy-box-1",
        &[
            "sh",
            "-c",
            "mount -o remount,rw,bind /sbin/docker-init; chattr -i /sbin/docker-init; \
                       echo x >>/sbin/docker-init || mv /bin/sh /sbin/docker-init",
        ],
    );
    assert_ne!(remount.code, 0, "{remount:?}");
    bench.finish(&["busy"]);
}

/// A container whose program is "whatever starts me".
#[test]
fn an_entrypoint_of_keel_itself_changes_nothing() {
    let bench = Bench::new();
    let layer = bench.path("layer");
    fs::create_dir_all(&layer).unwrap();
    fs::write(layer.join("evil"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(layer.join("evil"), fs::Permissions::from_mode(0o755)).unwrap();
    let image = bench.image(&json!({ "Entrypoint": ["/evil"] }), Some(&layer));
    for flags in [&["--entrypoint", "/proc/self/exe"][..], &["--entrypoint", "/evil"], &[]] {
        let called = bench.keel(&[&["run", "--rm"], flags, &[&image, "version"]].concat());
        assert_ne!(called.code, 0, "{called:?}");
    }
    bench.keel(&["run", "-d", "--name", "box", "--entrypoint", "sleep", &image, "1000000"]).ok();
    for program in ["/evil", "/proc/self/exe"] {
        assert_ne!(bench.exec(&[], "box", &[program, "serve"]).code, 0);
        assert_ne!(bench.exec(&["-t"], "box", &[program, "serve"]).code, 0);
    }
    bench.finish(&[]);
}

/// CVE-2016-9962: a debugger inside stops each helper as soon as it is there.
#[test]
fn helpers_have_given_everything_up_before_they_are_seen() {
    let bench = Bench::new();
    checked(&bench, json!({ "cap_add": ["SYS_PTRACE"] }));
    let canary = bench.witness.secret_file().display().to_string();
    let said = while_people_enter(&bench, &["prober", "ptrace-new", &seconds(), &canary]);
    assert!(said.contains("done ptrace-new"), "{said}");
    assert!(!result(&said, "tried").starts_with("0 "), "nobody was seen:\n{said}");
    let allowed: u64 = 0xa804_25fb | 1 << 19;
    let mut looked = 0;
    for line in said.lines().filter(|line| line.starts_with("pid ")) {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[2] {
            "CapEff:" | "CapBnd:" => {
                looked += 1;
                let set = u64::from_str_radix(words[3], 16).unwrap();
                assert_eq!(set & !allowed, 0, "{line}: more than the container has");
            }
            "fd" => {
                let number: u32 = words[3].parse().unwrap();
                let target = words.get(4).copied().unwrap_or_default();
                assert!(number < 3, "{line}: a descriptor beside the stdio");
                let known = ["pipe:", "/dev/null", "/dev/pts/"];
                assert!(known.iter().any(|start| target.starts_with(start)), "{line}");
            }
            "env" => {
                let name = words.get(3).unwrap_or(&"").split('=').next().unwrap();
                assert!(
                    ["PATH", "HOME", "HOSTNAME", "TERM"].contains(&name),
                    "{line}: not its own"
                );
            }
            _ => {}
        }
    }
    assert!(looked > 0, "{said}");
    bench.finish(&["busy"]);
}
