//! Who a process is: numbers that are names, files that are none, groups that are lost.

use super::bench::Bench;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

const PASSWD: &str = "+5:x:0:0::/:/bin/sh
-1:x:0:0::/:/bin/sh
1000:x:0:0::/:/bin/sh
4294967296:x:0:0::/:/bin/sh
4294967295:x:0:0::/:/bin/sh
root:x:0:0:root:/root:/bin/sh
huge:x:4294967296:4294967296::/:/bin/sh
none:x:4294967295:4294967295::/:/bin/sh
minus:x:-1:-1::/:/bin/sh
";
const GROUP: &str = "1001:x:0:\n4294967296:x:0:\nroot:x:0:\nhuge:x:4294967296:\n";

fn hostile_image(bench: &Bench, config: &serde_json::Value) -> String {
    let layer = bench.path("layer");
    fs::create_dir_all(layer.join("etc")).unwrap();
    fs::write(layer.join("etc/passwd"), PASSWD).unwrap();
    fs::write(layer.join("etc/group"), GROUP).unwrap();
    bench.image(config, Some(&layer))
}

/// What may come of it: exactly this number, or a refusal in words.
#[track_caller]
fn number_or_refusal(value: &str, called: &super::support::Called) {
    assert!(!called.stderr.contains("panicked"), "{value}: {called:?}");
    if called.code != 0 {
        let words = called.stderr.contains("user") || called.stderr.contains("group");
        return assert!(words, "{value}: {called:?}");
    }
    let name = value.split(':').next().unwrap();
    let plain = name.chars().all(|letter| letter.is_ascii_digit());
    assert!(plain, "{value:?} is not a number, and yet somebody: {called:?}");
    let asked: u64 = if name.is_empty() { 0 } else { name.parse().unwrap() };
    let uid = called.stdout.split_whitespace().next().unwrap_or_default();
    assert_eq!(uid, asked.to_string(), "{value}: {called:?}");
    assert!(asked < u64::from(u32::MAX), "{value}: {called:?}");
}

#[test]
fn a_number_is_never_a_name() {
    let bench = Bench::new();
    let image = hostile_image(&bench, &json!({}));
    bench.keel(&["run", "-d", "--name", "box", &image, "sleep", "1000000"]).ok();
    let values = [
        "1000",
        "01000",
        "+5",
        "0x0",
        "2147483648",
        "4294967294",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "-1",
        " 7",
        "7 ",
        "huge",
        "none",
        "minus",
        "5:-1",
        "5:4294967295",
        "5:4294967296",
        "5:+7",
        "5:huge",
        "1000:0x0",
        "1e3",
        "５",
    ];
    for value in values {
        let flag = format!("--user={value}");
        let called = bench.exec(&[&flag], "box", &["sh", "-c", "id -u; id -g"]);
        number_or_refusal(value, &called);
    }
    for value in ["1000", "+5", "4294967295", "4294967296", "-1", "5:4294967295", "huge"] {
        let flag = format!("--user={value}");
        let called = bench.keel(&["run", "--rm", &flag, &image, "sh", "-c", "id -u; id -g"]);
        number_or_refusal(value, &called);
    }
    for value in ["1000", "4294967296", "minus"] {
        let image = hostile_image(&bench, &json!({ "User": value }));
        let called = bench.keel(&["run", "--rm", &image, "sh", "-c", "id -u; id -g"]);
        number_or_refusal(value, &called);
    }
    // A group by number, named first by the image.
    let called = bench.exec(&["-u", "5:1001"], "box", &["id", "-G"]).ok();
    assert_eq!(called.stdout.trim(), "1001");
    for group in ["1001", "+7", "-1", "4294967295", "4294967296"] {
        let flag = format!("--group-add={group}");
        let called = bench.keel(&["run", "--rm", "-u", "5:5", &flag, &image, "id", "-G"]);
        assert!(!called.stderr.contains("panicked"), "{called:?}");
        assert!(called.code != 0 || called.stdout.trim() == "5 1001", "{group}: {called:?}");
    }
    bench.finish(&[]);
}

/// What stands where /etc/passwd should be, a line of shell each, {} being the host's secret.
const FILES: [&str; 8] = [
    "ln -s {} $f",
    "ln -s ../../../../../../../../../..{} $f",
    "ln -s /proc/kmsg $f",
    "mkfifo $f",
    "mknod $f c 1 5",
    "mkdir $f",
    "truncate -s 4G $f",
    "head -c 30000000 /dev/zero | tr '\\0' x >$f",
];

#[test]
fn hostile_account_files_cost_little_and_tell_nothing() {
    let bench = Bench::new();
    bench.idle("box", &[]);
    let secret = bench.witness.secret_file().display().to_string();
    for (line, file) in FILES.iter().flat_map(|line| [(line, "passwd"), (line, "group")]) {
        let line = format!("f=/etc/{file}; rm -rf $f; {}", line.replace("{}", &secret));
        bench.exec(&["-u", "0:0"], "box", &["sh", "-c", &line]);
        for user in ["5:5", "nobody"] {
            let began = Instant::now();
            // The prober, since busybox's `id` would read the file to its end.
            let called = bench.exec(&["-u", user], "box", &["prober", "caps"]);
            assert!(began.elapsed() < Duration::from_secs(20), "{line}: it took too long");
            let own = |uid: &str| called.stdout.contains(&format!("Uid:\t{uid}\t{uid}\t"));
            let fine = called.code != 0 || own("5") || own("65534");
            assert!(fine && !called.stderr.contains("panicked"), "{line}: {called:?}");
        }
        // The way back must stay open.
        let reset = format!("rm -rf /etc/{file}; echo root:x:0:0:root:/:/bin/sh >/etc/{file}");
        let called = bench.exec(&[], "box", &["sh", "-c", &reset]);
        if called.code != 0 {
            bench.keel(&["rm", "-f", "box"]).ok();
            bench.idle("box", &[]);
        }
    }
    let many = "i=0; while [ $i -lt 20000 ]; do echo g$i:x:$i:app; i=$((i+1)); done >>/etc/group; \
                echo app:x:1000:1000::/:/bin/sh >>/etc/passwd";
    bench.exec(&[], "box", &["sh", "-c", many]).ok();
    let called = bench.exec(&["-u", "app"], "box", &["prober", "caps"]);
    assert!(called.code != 0 || called.stdout.contains("Uid:\t1000\t"), "{called:?}");
    bench.finish(&[]);
}
