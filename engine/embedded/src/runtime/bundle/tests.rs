//! Tests of the whole specification.

use super::*;
use crate::runtime::overlay::Layers;
use keel_engine::{Digest, FileMount, Tmpfs};
use serde_json::{Value, json};

fn host() -> HostFacts {
    HostFacts {
        short_id: "0123456789ab".into(),
        dir: "/root/tasks/0".into(),
        secrets: "/root/secrets".into(),
        layers: Layers { lower: vec!["/l0".into(), "/l1".into()], upper: None },
        cgroup: "keel-abc/0123456789ab".into(),
        capabilities: keel_names::capability::ALL.map(str::to_owned).into(),
        ..HostFacts::default()
    }
}

fn task() -> TaskSpec {
    TaskSpec { command: Some(vec!["serve".into()]), ..TaskSpec::default() }
}

fn made(task: &TaskSpec, image: &ImageFacts, host: &HostFacts) -> Value {
    serde_json::to_value(bundle(task, image, host).unwrap().spec).unwrap()
}

#[test]
fn arguments_are_joined_as_docker_joins_them() {
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let image = ImageFacts {
        entrypoint: Some(words("entry -x")),
        cmd: Some(words("cmd -y")),
        ..ImageFacts::default()
    };
    let cases = [
        (None, None, "entry -x cmd -y"),
        (None, Some("own"), "entry -x own"),
        (Some("mine"), None, "mine"),
        (Some("mine"), Some("own"), "mine own"),
        (Some(""), None, "cmd -y"),
        (None, Some(""), "entry -x"),
    ];
    for (entrypoint, command, expected) in cases {
        let (entrypoint, command) = (entrypoint.map(words), command.map(words));
        let task = TaskSpec { entrypoint, command, ..TaskSpec::default() };
        let spec = made(&task, &image, &host());
        assert_eq!(spec["process"]["args"], json!(words(expected)), "{expected}");
    }
    let none = bundle(&TaskSpec::default(), &ImageFacts::default(), &host()).unwrap_err();
    assert!(matches!(none, BundleError::NoCommand));
}

#[test]
fn the_dull_case_is_dockers() {
    let spec = made(&task(), &ImageFacts::default(), &host());
    let mounts = spec["mounts"].as_array().unwrap().iter();
    let lines: Vec<_> = mounts
        .map(|mount| {
            let options = mount["options"].as_array().unwrap().iter();
            let options: Vec<_> = options.map(|option| option.as_str().unwrap()).collect();
            format!("{} {} {}", mount["destination"], mount["type"], options.join(","))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n").replace('"', ""), @r"
    / overlay lowerdir+=/l1,lowerdir+=/l0
    /proc proc nosuid,noexec,nodev
    /dev tmpfs nosuid,strictatime,mode=755,size=65536k
    /dev/pts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5,max=1024
    /sys sysfs nosuid,noexec,nodev,ro
    /sys/fs/cgroup cgroup nosuid,noexec,nodev,relatime,ro
    /dev/mqueue mqueue nosuid,noexec,nodev
    /dev/shm tmpfs nosuid,noexec,nodev,mode=1777,size=67108864
    /etc/hosts bind rbind,rprivate
    /etc/hostname bind rbind,rprivate
    /etc/resolv.conf bind rbind,rprivate
    ");
    assert_eq!(spec["hostname"], "0123456789ab");
    assert_eq!(spec["process"]["cwd"], "/");
    assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().unwrap().len(), 14);
    assert_eq!(spec["linux"]["resources"]["memory"], Value::Null);
    assert_eq!(spec["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "0");
}

#[test]
fn own_mounts_come_last_by_depth_and_replace_the_usual_ones() {
    let bind = |target: &str| HostMount {
        beneath: None,
        source: "/srv".into(),
        target: target.into(),
        read_only: true,
        propagation: Some("rslave".into()),
    };
    let host = HostFacts { mounts: vec![bind("/a/b/c"), bind("/etc/hosts")], ..host() };
    let file = FileMount {
        name: "key".into(),
        digest: Digest::of(b""),
        target: "/run/secrets/key".into(),
        uid: 5,
        gid: 6,
        mode: None,
    };
    let scratch = Tmpfs { target: "/a".into(), options: vec!["exec".into()], ..Tmpfs::default() };
    let task = TaskSpec { tmpfs: vec![scratch], secrets: vec![file], init: true, ..task() };
    let spec = made(&task, &ImageFacts::default(), &host);
    let mounts = spec["mounts"].as_array().unwrap();
    let targets: Vec<_> =
        mounts.iter().map(|mount| mount["destination"].as_str().unwrap()).collect();
    let tail = ["/etc/resolv.conf", INIT, "/a", "/etc/hosts", "/a/b/c", "/run/secrets/key"];
    assert_eq!(targets[targets.len() - 6..], tail);
    assert_eq!(targets.iter().filter(|target| **target == "/etc/hosts").count(), 1);
    let last = mounts.last().unwrap();
    assert_eq!(
        (&last["type"], &last["options"]),
        (&json!(FILE), &json!(["mode=444", "uid=5", "gid=6"]))
    );
    let scratch = &mounts[targets.len() - 4];
    assert_eq!(scratch["options"], json!(["noexec", "nosuid", "nodev", "mode=1777", "exec"]));
    assert_eq!(spec["process"]["args"], json!([INIT, "init", "--", "serve"]));
}

#[test]
fn what_the_host_cannot_grant_is_said() {
    let mut host = host();
    host.hard_limits.insert("nofile".into(), 1024);
    host.capabilities.remove("NET_ADMIN");
    let mut task = task();
    task.ulimits.insert("nofile".into(), keel_engine::Ulimit { soft: 2000, hard: -1 });
    task.cap_add.insert("NET_ADMIN".into());
    task.security_opt = vec!["apparmor=unconfined".into()];
    let bundle = bundle(&task, &ImageFacts::default(), &host).unwrap();
    assert_eq!(
        bundle.warnings,
        [
            "cap_add NET_ADMIN: this host has not got it to give",
            "security_opt apparmor=unconfined: not applied by this engine",
            "ulimit nofile: the hard limit -1 is above this host's 1024, which is used instead",
        ]
    );
    let limit = &bundle.spec.process.rlimits[0];
    assert_eq!((limit.soft, limit.hard), (1024, 1024));
}

#[test]
fn nonsense_is_refused() {
    let refused = |change: fn(&mut TaskSpec)| {
        let mut task = task();
        change(&mut task);
        bundle(&task, &ImageFacts::default(), &host()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|task| drop(task.sysctls.insert("vm.swappiness".into(), "1".into()))),
        "sysctl `vm.swappiness` belongs to the host: only a task with a network of its own can set it"
    );
    assert_eq!(
        refused(|task| task.security_opt = vec!["nonsense=1".into()]),
        "unknown security_opt `nonsense=1`"
    );
    let limit = keel_engine::Ulimit { soft: 1, hard: 1 };
    let mut wrong = task();
    wrong.ulimits.insert("nofiles".into(), limit);
    let refusal = bundle(&wrong, &ImageFacts::default(), &host()).unwrap_err();
    assert_eq!(refusal.to_string(), "unknown ulimit `nofiles`");
}

#[test]
fn a_docker_profile_is_lowered_by_capabilities() {
    let profile = r#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[],"syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[],"includes":{},"excludes":{}},
        {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
        {"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"]}}]}"#;
    let allowed = |privileges: &[&str]| {
        let cap_add = privileges.iter().map(|name| (*name).to_owned()).collect();
        let security_opt = vec![format!("seccomp={profile}")];
        let task = TaskSpec { security_opt, cap_add, ..task() };
        let spec = made(&task, &ImageFacts::default(), &host());
        let rules = spec["linux"]["seccomp"]["syscalls"].as_array().unwrap().clone();
        rules.iter().map(|rule| rule["names"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(allowed(&[]), ["read", "clone"]);
    assert_eq!(allowed(&["SYS_ADMIN"]), ["read", "mount"]);
}

#[test]
fn a_parameters_name_leads_nowhere_else() {
    let set = |name: &str, value: &str| {
        let mut task = task();
        task.sysctls.insert(name.to_owned(), value.to_owned());
        bundle(&task, &ImageFacts::default(), &host())
    };
    for name in ["net.core.somaxconn", "net.ipv4.conf.eth0.forwarding", "kernel.shm_rmid_forced"] {
        set(name, "1").unwrap();
    }
    for name in [
        "net.x/../kernel/panic",
        "net.core..somaxconn",
        "net.core.somaxconn.",
        "net.a b",
        "net/./x",
    ] {
        assert!(matches!(set(name, "1"), Err(BundleError::SysctlText(_))), "{name}");
    }
    assert!(matches!(set("net.core.somaxconn", "1\nx"), Err(BundleError::SysctlText(_))));
}

/// CVE-2017-16539's kin: what tells of neighbors.
#[test]
fn each_cpus_heat_is_hidden() {
    let throttle = "/sys/devices/system/cpu/cpu3/thermal_throttle";
    let host = HostFacts { throttles: vec![throttle.to_owned()], ..host() };
    let spec = bundle(&task(), &ImageFacts::default(), &host).unwrap().spec;
    assert!(spec.linux.masked_paths.iter().any(|path| path == throttle));
}

#[test]
fn nothing_is_mounted_at_the_root() {
    for target in ["/", "/.", "//", "/data/.."] {
        let mount = HostMount {
            source: "/volumes/x/data".into(),
            target: target.into(),
            ..HostMount::default()
        };
        let host = HostFacts { mounts: vec![mount], ..host() };
        let refused = bundle(&task(), &ImageFacts::default(), &host);
        assert!(matches!(refused, Err(BundleError::Root)), "{target}");
    }
}
