//! Volumes, limits and what is read back.

use crate::Test;
use crate::lab::Lab;
use crate::life::in_network;
use keel_embedded::runtime::cgroup::Cgroup;
use keel_engine::fields::Field;
use keel_engine::{
    Assignment, Content, Depth, Digest, Engine, EngineError, FailureKind, FileMount, Mount,
    MountError, MountSource, Observation, ObservedTask, Phase, Place, Port, Presence, Protocol,
    RestartPolicy, Slot, StackName, Value, VolumeSpec,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;

pub const TESTS: &[Test] = &[
    ("a_volume_outlives_its_tasks", || Box::pin(a_volume_outlives_its_tasks())),
    ("a_part_of_a_volume_stays_in_it", || Box::pin(a_part_of_a_volume_stays_in_it())),
    ("an_anonymous_volume_passes_on", || Box::pin(an_anonymous_volume_passes_on())),
    ("a_touched_limit_is_found_and_healed", || Box::pin(a_touched_limit_is_found_and_healed())),
    ("a_torn_firewall_is_found_and_healed", || Box::pin(a_torn_firewall_is_found_and_healed())),
    ("a_touched_container_is_found_and_healed", || {
        Box::pin(a_touched_container_is_found_and_healed())
    }),
    ("a_rule_that_does_something_else_is_found_and_healed", || {
        Box::pin(a_rule_that_does_something_else_is_found_and_healed())
    }),
    ("content_arrives", || Box::pin(content_arrives())),
    ("an_image_that_cannot_come_is_told", || Box::pin(an_image_that_cannot_come_is_told())),
    ("a_used_image_stays", || Box::pin(a_used_image_stays())),
];

fn mount(source: MountSource) -> Mount {
    let target = "/data".into();
    Mount { source, target, read_only: false, shared: false, propagation: None, digest: None }
}

async fn a_volume_outlives_its_tasks() {
    let lab = Lab::open().await;
    let spec =
        VolumeSpec { name: "shop_data".into(), driver: "local".into(), ..VolumeSpec::default() };
    let wish = |wanted: Presence| Assignment::Volume { spec: spec.clone(), wanted };
    lab.engine().assign(&[wish(Presence::Present)]).await.unwrap();
    let source = || MountSource::Volume { name: "shop_data".into(), nocopy: false, subpath: None };
    let mut writes = lab.task("writes", &["write", "/data/file", "kept"]);
    Arc::make_mut(&mut writes.spec).volumes.push(mount(source()));
    lab.assign(&writes).await;
    let done = lab.until_phase(&writes, Phase::Exited).await;
    assert_eq!(done.exit_code, Some(0), "{}", lab.logs(&writes).await);
    lab.remove(&writes).await;
    let mut reads = lab.task("reads", &["cat", "/data/file"]);
    Arc::make_mut(&mut reads.spec).volumes.push(mount(source()));
    lab.assign(&reads).await;
    lab.until_phase(&reads, Phase::Exited).await;
    assert_eq!(lab.logs(&reads).await, "kept");
    let refused = lab.engine().assign(&[wish(Presence::Absent)]).await.unwrap_err();
    assert_eq!(refused.to_string(), "volume shop_data is in use by reads");
    lab.remove(&reads).await;
    lab.engine().assign(&[wish(Presence::Absent)]).await.unwrap();
    lab.until("the volume goes", Depth::State, |seen| seen.volumes.is_empty()).await;
    lab.clean().await;
}

/// Another container has the whole volume, and puts links where this one's part is.
async fn a_part_of_a_volume_stays_in_it() {
    let lab = Lab::open().await;
    let data = lab.layout.volumes().join("shop_data/data");
    fs::create_dir_all(data.join("else")).unwrap();
    fs::write(data.join("else/file"), "inside").unwrap();
    fs::write(lab.layout.root().join("file"), "outside").unwrap();
    let leaf = data.join("sub/leaf");
    let plant = |target: &str| {
        let _ = fs::remove_dir_all(data.join("sub"));
        fs::create_dir(data.join("sub")).unwrap();
        symlink(target.replace('@', lab.layout.root().to_str().unwrap()), &leaf).unwrap();
    };
    let part = |name: &str, words: &[&str]| {
        let subpath = Some("sub/leaf".to_owned());
        let mut wish = lab.task(name, words);
        let source = MountSource::Volume { name: "shop_data".into(), nocopy: false, subpath };
        Arc::make_mut(&mut wish.spec).volumes.push(mount(source));
        wish
    };
    for (at, target) in
        ["@", "../../../..", "/proc/1/root@", "../../data/../../.."].iter().enumerate()
    {
        plant(target);
        let wish = part(&format!("reads{at}"), &["cat", "/data/file"]);
        lab.assign(&wish).await;
        let refused = lab.until_phase(&wish, Phase::Rejected).await.message.unwrap();
        assert!(refused.to_string().contains("is a link that leaves"), "{target}: {refused}");
        lab.remove(&wish).await;
    }
    plant("../else");
    let mut wish = part("stays", &["stay", "begun"]);
    Arc::make_mut(&mut wish.spec).restart = RestartPolicy::Always;
    lab.assign(&wish).await;
    let runs = lab.until_phase(&wish, Phase::Running).await;
    let seen = fs::read_to_string(format!("/proc/{}/root/data/file", runs.pid.unwrap()));
    assert_eq!(seen.unwrap(), "inside", "a link that stays in the volume is followed");
    plant("@");
    let pid = i32::try_from(runs.pid.unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let refused = |task: &ObservedTask| {
        task.phase == Phase::Backoff
            && task.message.as_ref().is_some_and(|why| why.text.contains("is a link that leaves"))
    };
    lab.until_task(&wish, "its next run is refused", refused).await;
    lab.remove(&wish).await;
    lab.clean().await;
}

async fn an_anonymous_volume_passes_on() {
    let lab = Lab::open().await;
    let mut old = lab.task("old", &["write", "/data/file", "inherited"]);
    Arc::make_mut(&mut old.spec).volumes.push(mount(MountSource::Anonymous));
    lab.assign(&old).await;
    lab.until_phase(&old, Phase::Exited).await;
    let mut new = lab.task("new", &["cat", "/data/file"]);
    Arc::make_mut(&mut new.spec).volumes.push(mount(MountSource::Anonymous));
    new.replaces = Some(old.id.clone());
    lab.assign(&new).await;
    lab.until_phase(&new, Phase::Exited).await;
    assert_eq!(lab.logs(&new).await, "inherited");
    lab.remove(&old).await;
    let seen = lab.engine().observe(Depth::State).await.unwrap();
    assert_eq!(seen.volumes.len(), 1, "it is the new task's now");
    assert!(seen.volumes[0].anonymous);
    lab.remove(&new).await;
    let seen = lab.engine().observe(Depth::State).await.unwrap();
    assert_eq!(seen.volumes, []);
    lab.clean().await;
}

async fn a_touched_limit_is_found_and_healed() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut wish = lab.task("web", &[]);
    in_network(&mut wish, "shop_default", "web");
    let spec = Arc::make_mut(&mut wish.spec);
    (spec.mem_limit, spec.cpus, spec.pids_limit) =
        (Some((64 << 20) + 1), Some(500_000_000), Some(99));
    spec.sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "80".into());
    spec.ulimits.insert("nofile".into(), keel_engine::Ulimit { soft: 512, hard: 1024 });
    let stack = StackName::new("shop").unwrap();
    wish.place = Place::Slot(Slot { stack, service: "web".into(), slot: "1".into() });
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let findings =
        || async { lab.engine().observe(Depth::Fields).await.unwrap().tasks[0].findings.clone() };
    assert_eq!(findings().await, [], "an untouched task has no drift");
    let cgroup = format!("{}/{}", lab.layout.cgroup(), wish.id.short());
    Cgroup::at(&cgroup).unwrap().set(keel_engine::Limit::Memory, Some(32 << 20)).unwrap();
    let found = findings().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].row(), Some(Field::MemLimit));
    assert_eq!(
        (&found[0].applied, &found[0].observed),
        (&Value::Bytes(64 << 20), &Value::Bytes(32 << 20))
    );
    // A look at one stack finds the same there, and reads nobody else's fields.
    for (stack, many) in [("shop", 1), ("another", 0)] {
        let closely = Depth::FieldsOf(StackName::new(stack).unwrap());
        let seen = lab.engine().observe(closely).await.unwrap();
        assert_eq!(seen.tasks[0].findings.len(), many, "{stack}");
    }
    wish.generation = 2;
    lab.assign(&wish).await;
    lab.engine().idle().await;
    assert_eq!(findings().await, [], "assigned again, it is as applied");
    lab.clean().await;
}

async fn a_torn_firewall_is_found_and_healed() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut wish = lab.task("web", &[]);
    in_network(&mut wish, "shop_default", "web");
    let port = Port { host_ip: None, published: None, target: 80, protocol: Protocol::Tcp };
    Arc::make_mut(&mut wish.spec).ports.push(port);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let quiet = |seen: &Observation| {
        seen.findings.is_empty() && seen.tasks.iter().all(|task| task.findings.is_empty())
    };
    lab.until("an untouched host has no drift", Depth::Fields, quiet).await;
    let table = lab.layout.table();
    let torn = Command::new("nft").args(["delete", "table", "ip", &table]).status();
    if !torn.is_ok_and(|status| status.success()) {
        let done = Command::new("nft").args(["delete", "table", "inet", &table]).status().unwrap();
        assert!(done.success(), "no table {table}");
    }
    let loud = |seen: &Observation| !seen.findings.is_empty();
    lab.until("the missing table is found", Depth::Fields, loud).await;
    wish.generation = 2;
    lab.assign(&wish).await;
    lab.until("assigned again, it is whole", Depth::Fields, quiet).await;
    lab.clean().await;
}

/// Each is done to the running task, found, and healed by the same wish again.
async fn a_touched_container_is_found_and_healed() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut wish = lab.task("web", &[]);
    in_network(&mut wish, "shop_default", "web");
    let source = MountSource::Volume { name: "shop_data".into(), nocopy: false, subpath: None };
    Arc::make_mut(&mut wish.spec).volumes.push(mount(source));
    lab.assign(&wish).await;
    let pid = lab.until_phase(&wish, Phase::Running).await.pid.unwrap();
    let findings =
        || async { lab.engine().observe(Depth::Fields).await.unwrap().tasks[0].findings.clone() };
    assert_eq!(findings().await, [], "an untouched task has no drift");
    let inside = |script: &str| {
        let netns = format!("--net=/proc/{pid}/ns/net");
        let done = Command::new("nsenter").args([&netns, "sh", "-c", script]).status().unwrap();
        assert!(done.success(), "{script}");
    };
    let damage = [
        ("ip route del default", "networks.shop_default"),
        // With the link, the kernel takes its routes away; the address stays.
        ("ip link set eth0 down", "networks.shop_default"),
        ("ip addr flush dev eth0", "networks.shop_default.ipv4_address"),
        ("ip link del eth0", "networks.shop_default"),
    ];
    for (script, field) in damage {
        inside(script);
        let found = findings().await;
        let fields: Vec<_> = found.iter().map(|found| found.path.to_string()).collect();
        assert_eq!(fields, [field], "{script}");
        wish.generation += 1;
        lab.assign(&wish).await;
        lab.engine().idle().await;
        assert_eq!(findings().await, [], "assigned again after `{script}`");
        let same = lab.until_phase(&wish, Phase::Running).await.pid;
        assert_eq!(same, Some(pid), "its process goes on");
    }
    let volume = lab.layout.volumes().join("shop_data");
    std::fs::write(volume.join("data/kept"), "").unwrap();
    std::fs::remove_dir_all(volume.join("data")).unwrap();
    let found = findings().await;
    assert_eq!(found.iter().map(|f| f.row()).collect::<Vec<_>>(), [Some(Field::Volumes)]);
    assert_eq!(found[0].observed, Value::List(vec!["shop_data:/data (deleted)".into()]));
    wish.generation += 1;
    lab.assign(&wish).await;
    let anew = |task: &keel_engine::ObservedTask| task.pid.is_some_and(|now| now != pid);
    lab.until_task(&wish, "a process with the new folder", anew).await;
    assert_eq!(findings().await, []);
    assert!(volume.join("data").is_dir());
    lab.clean().await;
}

async fn a_rule_that_does_something_else_is_found_and_healed() {
    let lab = Lab::open().await;
    lab.network("shop_default").await;
    let mut wish = lab.task("web", &[]);
    in_network(&mut wish, "shop_default", "web");
    let port = Port { host_ip: None, published: None, target: 80, protocol: Protocol::Tcp };
    Arc::make_mut(&mut wish.spec).ports.push(port);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let quiet = |seen: &Observation| {
        seen.findings.is_empty() && seen.tasks.iter().all(|task| task.findings.is_empty())
    };
    let loud = |seen: &Observation| !quiet(seen);
    lab.until("an untouched host has no drift", Depth::Fields, quiet).await;
    let table = lab.layout.table();
    let listed = |chain: &str| {
        let chain = ["-a", "list", "chain", "ip", &table, chain];
        let listed = Command::new("nft").args(chain).output().unwrap().stdout;
        String::from_utf8(listed).unwrap()
    };
    let replace = |chain: &str, comment: &str, rule: &str| {
        let line = listed(chain).lines().find(|line| line.contains(comment)).unwrap().to_owned();
        let handle = line.rsplit(' ').next().unwrap();
        let rule =
            format!("replace rule ip {table} {chain} handle {handle} {rule} comment {comment}");
        assert!(Command::new("nft").arg(&rule).status().unwrap().success(), "{rule}");
    };
    let forward = r#""unpublished ports""#;
    for rule in ["accept", "oifname \"eth9\" drop"] {
        replace("forward", forward, rule);
        lab.until(rule, Depth::Fields, loud).await;
        wish.generation += 1;
        lab.assign(&wish).await;
        lab.until("assigned again, it is whole", Depth::Fields, quiet).await;
    }
    let published =
        Command::new("nft").args(["list", "table", "ip", &table]).output().unwrap().stdout;
    let published = String::from_utf8(published).unwrap();
    let chain = published.split_whitespace().find(|word| word.starts_with("port-")).unwrap();
    let rules = listed(chain);
    let comment = rules.lines().find_map(|line| line.split("comment ").nth(1)).unwrap();
    let comment = comment.split(" #").next().unwrap().trim();
    replace(chain, comment, "meta l4proto tcp dnat to 127.0.0.9:1");
    lab.until("another destination", Depth::Fields, loud).await;
    wish.generation += 1;
    lab.assign(&wish).await;
    lab.until("it leads to the task again", Depth::Fields, quiet).await;
    lab.clean().await;
}

async fn content_arrives() {
    let lab = Lab::open().await;
    let bytes: Arc<[u8]> = Arc::from(b"a secret".as_slice());
    let digest = Digest::of(&bytes);
    let mut wish = lab.task("reads", &["cat", "/run/secrets/token"]);
    Arc::make_mut(&mut wish.spec).secrets.push(FileMount {
        name: "token".into(),
        digest,
        target: "/run/secrets/token".into(),
        uid: 0,
        gid: 0,
        mode: None,
    });
    lab.assign(&wish).await;
    let waits = |task: &keel_engine::ObservedTask| task.message.is_some();
    let task = lab.until_task(&wish, "it waits for its content", waits).await;
    let awaited = MountError::ContentAwaited { name: "token".into() };
    assert_eq!(task.message, Some(FailureKind::Mount(awaited).into()));
    let content = Assignment::Content(Content { digest, bytes });
    lab.engine().assign(&[content]).await.unwrap();
    lab.until_phase(&wish, Phase::Exited).await;
    assert_eq!(lab.logs(&wish).await, "a secret");
    lab.clean().await;
}

async fn an_image_that_cannot_come_is_told() {
    let lab = Lab::open().await;
    // Nobody listens there.
    let reference = "127.0.0.1:1/nothing:here".to_owned();
    let wish = Assignment::Image {
        reference: reference.clone(),
        policy: keel_engine::PullPolicy::Missing,
        wanted: Presence::Present,
    };
    lab.engine().assign(&[wish]).await.unwrap();
    let ended = |seen: &Observation| seen.images.iter().any(|image| image.pulls == 1);
    let seen = lab.until("the pull ends", Depth::State, ended).await;
    let image = &seen.images[0];
    let kind = image.failure.as_ref().map(|failure| failure.kind.clone());
    assert_eq!(
        (image.reference.as_str(), kind),
        (reference.as_str(), Some(FailureKind::RegistryAway))
    );
    assert!(image.digest.is_none());
    let mut task = lab.task("waits", &[]);
    Arc::make_mut(&mut task.spec).image = reference;
    lab.assign(&task).await;
    let waits = |task: &keel_engine::ObservedTask| task.attempts > 0;
    let seen = lab.until_task(&task, "it tries again", waits).await;
    assert_eq!(seen.phase, Phase::Preparing, "{seen:?}");
    lab.clean().await;
}

async fn a_used_image_stays() {
    let lab = Lab::open().await;
    let wish = lab.task("web", &[]);
    lab.assign(&wish).await;
    lab.until_phase(&wish, Phase::Running).await;
    let absent = Assignment::Image {
        reference: crate::lab::IMAGE.into(),
        policy: keel_engine::PullPolicy::Missing,
        wanted: Presence::Absent,
    };
    let refused = lab.engine().assign(std::slice::from_ref(&absent)).await.unwrap_err();
    assert!(matches!(refused, EngineError::Conflict { .. }), "{refused}");
    lab.remove(&wish).await;
    lab.engine().assign(&[absent]).await.unwrap();
    let seen = lab.engine().observe(Depth::State).await.unwrap();
    assert_eq!(seen.images, []);
    lab.clean().await;
}
