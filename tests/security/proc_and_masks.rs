//! /proc, /sys and /dev as the image, a volume or another container would have them: masks hold, or
//! nothing starts.

use super::bench::{Bench, service};
use super::doors;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

/// What of /proc opens for writing, since root may open everything, and takes no word: what the
/// kernel's developers gave a mode without a way to write.
const HARMLESS: [&str; 46] = [
    "buddyinfo",
    "cgroups",
    "cmdline",
    "config.gz",
    "consoles",
    "cpuinfo",
    "crypto",
    "devices",
    "diskstats",
    "dma",
    "execdomains",
    "fb",
    "filesystems",
    "iomem",
    "ioports",
    "kallsyms",
    "key-users",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "loadavg",
    "locks",
    "mdstat",
    "meminfo",
    "misc",
    "modules",
    "pagetypeinfo",
    "partitions",
    "pressure/",
    "slabinfo",
    "softirqs",
    "stat",
    "swaps",
    "sysvipc/",
    "tty/",
    "uptime",
    "version",
    "vmallocinfo",
    "vmstat",
    "zoneinfo",
    "dynamic_debug/",
    "driver/",
    "allocinfo",
    "bootconfig",
    "kmsg",
    "mtrr",
];

fn only_harmless(door: &str, said: &str) {
    let tried: u32 = super::bench::result(said, "tried").parse().unwrap();
    assert!(tried > 100, "{door}: {said}");
    for line in said.lines().filter_map(|line| line.trim().strip_prefix("writable ")) {
        let name = line.strip_prefix("/proc/").unwrap_or("");
        let known = HARMLESS
            .iter()
            .any(|known| name == *known || known.ends_with('/') && name.starts_with(*known));
        assert!(known, "{door}: {line} can be written to");
    }
}

#[test]
fn nothing_of_the_kernels_is_writable_at_any_door() {
    let bench = Bench::new();
    let command = ["prober", "write-walk", "/proc", "/sys"];
    for (door, said) in doors::every(&bench, json!({}), &[], &command) {
        only_harmless(door, &said);
    }
    let said =
        bench.said(&["--read-only"], &["prober", "write-walk", "/proc", "/sys", "/etc", "/bin"]);
    let own = said.lines().find(|line| line.starts_with("writable /bin/"));
    assert_eq!(own, None, "a read-only root: {said}");
    bench.finish(&[]);
}

/// What moby hides, kept equal to its list, and of each CPU what tells the neighbors' load.
const HIDDEN: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

#[test]
fn what_is_hidden_shows_nothing_at_any_door() {
    let bench = Bench::new();
    let list = HIDDEN.join(" ");
    let look = format!(
        "for p in {list} /sys/devices/system/cpu/cpu*/thermal_throttle; do \
         test -d $p && ls -A $p; test -f $p && head -c 100 $p; test -c $p && head -c 100 $p; done; \
         ls -A /sys/kernel/debug /sys/kernel/tracing /sys/kernel/security /sys/fs/bpf \
         /sys/firmware/efi/efivars 2>/dev/null | grep -v ':$' | grep .; echo done hidden"
    );
    for (door, said) in doors::every(&bench, json!({}), &[], &["sh", "-c", &look]) {
        assert_eq!(said.trim().replace('\r', ""), "done hidden", "{door}");
    }
    bench.finish(&[]);
}

/// Volumes and memory at and in /proc, with everything that keel writes there asked for.
#[test]
fn a_proc_of_ones_own_is_refused_or_harmless() {
    let bench = Bench::new();
    let settings = ["--sysctl=net.core.somaxconn=77", "-u", "5:5", "--ulimit", "nofile=64:64"];
    let look = "cat /proc/sys/net/core/somaxconn; for f in /proc/sys/kernel/core_pattern \
                /proc/sys/kernel/panic /proc/sysrq-trigger; do (echo 7 >$f) 2>/dev/null && \
                echo wrote $f; done; id -u; ulimit -n; echo done";
    for place in
        ["/proc", "/proc/self", "/proc/sys", "/proc/sys/net", "/proc/1", "/proc/sys/kernel"]
    {
        for mount in [format!("--volume=fake:{place}"), format!("--tmpfs={place}")] {
            let called = bench.run(&[&[&*mount], &settings[..]].concat(), &["sh", "-c", look]);
            let refused = called.code != 0 && called.stderr.contains("/proc");
            assert!(refused, "{mount} is no place for a mount: {called:?}");
        }
    }
    // By a link of the image's, too.
    let layer = bench.path("layer");
    fs::create_dir_all(&layer).unwrap();
    symlink("/proc/sys", layer.join("link")).unwrap();
    let image = bench.image(&json!({}), Some(&layer));
    for mount in ["--volume=fake:/link/net", "--tmpfs=/link"] {
        let called = bench.keel(&["run", "--rm", mount, &image, "sh", "-c", look]);
        assert!(called.code != 0 && called.stderr.contains("/proc"), "{mount}: {called:?}");
    }
    bench.keel(&["volume", "rm", "fake"]);
    bench.finish(&[]);
}

/// The image's own /proc, /sys or /dev is a link: to elsewhere inside, up, through descriptors.
#[test]
fn links_where_the_kernels_file_systems_belong() {
    let bench = Bench::new();
    let look = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /tmp/p/sys/kernel/panic; \
                do (echo '|/evil' >$f) 2>/dev/null && test -f $f -a $f = /proc/sysrq-trigger \
                && echo wrote $f; done; grep -c . /proc/self/mountinfo; echo done";
    for (number, (name, target)) in [
        ("proc", "/tmp"),
        ("proc", "/proc/self/fd/5"),
        ("proc", "../../../../../../proc"),
        ("sys", "/proc/sys"),
        ("dev", "/proc/sys/kernel"),
        ("dev", "../../../../../../dev"),
    ]
    .into_iter()
    .enumerate()
    {
        let layer = bench.path(&format!("layer{number}"));
        fs::create_dir_all(&layer).unwrap();
        // A whiteout takes the folder of the layer below away.
        symlink(target, layer.join(name)).unwrap();
        let image = bench.image(&json!({}), Some(&layer));
        let called = bench.keel(&["run", "--rm", &image, "sh", "-c", look]);
        assert!(!called.stdout.contains("wrote"), "{name} -> {target}: {called:?}");
        let ended = called.stdout.contains("done") || called.code != 0 && !called.stderr.is_empty();
        assert!(ended, "{name} -> {target}: {called:?}");
        bench.witness.holds();
    }
    bench.finish(&[]);
}

/// CVE-2025-31133, CVE-2025-52565: a /dev of the author's, in which null and console are others.
#[test]
fn a_dev_of_ones_own_masks_nothing_else() {
    let bench = Bench::new();
    let masks = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/kernel/panic; do \
                 (echo 7 >$f) 2>/dev/null && echo wrote $f; done; head -c 10 /proc/interrupts; \
                 head -c 10 /proc/timer_list; tty; echo done dev";
    let makes = [
        "ln -s /proc/sys/kernel/core_pattern null",
        "echo plain >null",
        "true",
        "mknod null c 1 5",
        "mkfifo null",
        "mkdir null",
        "mknod null c 1 3; ln -s /proc/sys/kernel/core_pattern console; ln -s /proc/sys pts",
        "mknod null c 1 3; mkdir pts; ln -s /proc/sysrq-trigger console; \
         ln -s /proc/sys/kernel/core_pattern pts/0",
        "mknod null c 1 3; ln -s /proc/1/fd/1 console; ln -s /proc/self/fd/5 shm",
    ];
    for make in makes {
        bench.run(&["-v", "dev:/mine", "-w", "/mine"], &["sh", "-c", make]).ok();
        for tty in [&[][..], &["-t"]] {
            let flags = [&["-v", "dev:/dev"], tty].concat();
            let called = bench.run(&flags, &["sh", "-c", masks]);
            assert!(!called.stdout.contains("wrote"), "{make}: {called:?}");
            if called.code == 0 {
                assert!(called.stdout.contains("done dev"), "{make}: {called:?}");
                assert!(!called.stdout.contains("CPU0"), "{make}: a mask is missing: {called:?}");
            } else {
                assert!(!called.stderr.is_empty(), "{make}: {called:?}");
            }
        }
        bench.witness.holds();
        bench.keel(&["volume", "rm", "dev"]).ok();
    }
    bench.finish(&[]);
}

/// CVE-2021-43784: a text that is long or strange is itself, or refused; never another field.
#[test]
fn texts_of_any_size_stay_in_their_field() {
    let bench = Bench::new();
    let look = |name: &str| format!("echo uid $(id -u) length ${{#{name}}}; echo done");
    for size in [65_535, 65_536, 65_537] {
        let long = "x".repeat(size);
        let expected = format!("uid 5 length {size}\ndone\n");
        let variable = format!("LONG={long}");
        let label = format!("long={long}");
        let flags = ["-u", "5:5", "-e", &variable, "-l", &label];
        assert_eq!(bench.run(&flags, &["sh", "-c", &look("LONG")]).stdout, expected);
        let words = ["sh", "-c", &look("1"), "sh", &long];
        assert_eq!(bench.run(&["-u", "5:5"], &words).stdout, expected);
    }
    let own = json!(["sh", "-c", look("LONG").replace('$', "$$")]);
    let mut services = json!({});
    let mut adds = |name: &str, keys: Value| {
        services[name] = service(json!({ "user": "5:5", "command": own }));
        for (key, value) in keys.as_object().unwrap() {
            services[name][key] = value.clone();
        }
    };
    // The kernel takes no single text of 128 KiB.
    adds("huge", json!({ "environment": { "LONG": "x".repeat(1 << 17) } }));
    let strange = "a\nuser=0\nLD_PRELOAD=/evil\n\u{1b}]0;x\u{7}";
    adds("lines", json!({ "environment": { "LONG": strange } }));
    let many: Vec<Value> = (0..300).map(|n| json!(format!("/tmp/many/{n}"))).collect();
    adds("mounts", json!({ "tmpfs": many }));
    let heard = super::bench::ends(&bench, "texts", json!({ "services": services }));
    for (name, said) in heard {
        let refused = name == "huge" && !said.contains("uid");
        assert!(refused || said.contains("uid 5 length"), "{name}: {said}");
    }
    let called = bench.run(&[], &[&"x".repeat(100_000)]);
    assert!([126, 127].contains(&called.code), "{}: {}", called.code, called.stderr.len());
    bench.finish(&["texts"]);
}
