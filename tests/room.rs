//! Fifty pushes later the disk holds what runs and what can be come back to, and no more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use support::git::Repo;
use support::{Host, Serve, until};

const PUSHES: usize = 50;

/// Gives the registry images `app:1` to `app:LAST`: busybox with a layer of their own, of a megabyte
/// that does not compress.
fn push_images(host: &Host, last: usize) {
    host.write(
        "make.py",
        r#"
import gzip, hashlib, io, json, os, sys, tarfile
def path(digest): return "app/blobs/sha256/" + digest.split(":")[1]
def blob(data, kind):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    open(path(digest), "wb").write(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}
index = json.load(open("app/index.json"))
base = json.load(open(path(index["manifests"][0]["digest"])))
config = json.load(open(path(base["config"]["digest"])))
def image(version):
    raw = io.BytesIO()
    tar = tarfile.open(fileobj=raw, mode="w")
    for name, data in (("version", version.encode()), ("weight", os.urandom(1 << 20))):
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    tar.close()
    layer = blob(gzip.compress(raw.getvalue(), 1), base["layers"][0]["mediaType"])
    diff = "sha256:" + hashlib.sha256(raw.getvalue()).hexdigest()
    own = dict(config, rootfs=dict(config["rootfs"], diff_ids=config["rootfs"]["diff_ids"] + [diff]))
    own.pop("history", None)
    made = blob(json.dumps(own).encode(), base["config"]["mediaType"])
    manifest = dict(base, config=made, layers=base["layers"] + [layer])
    return blob(json.dumps(manifest).encode(), index["manifests"][0]["mediaType"]) | {
        "annotations": {"org.opencontainers.image.ref.name": version}}
index["manifests"] = [image(str(n)) for n in range(1, int(sys.argv[1]) + 1)]
json.dump(index, open("app/index.json", "w"))
"#,
    );
    let copy = "skopeo copy -q --insecure-policy --src-tls-verify=false --dest-tls-verify=false";
    host.sh(&format!(
        "{copy} docker://127.0.0.1:5000/library/busybox:1 oci:app:base && python3 make.py {last} && \
         for n in $(seq {last}); do \
           {copy} oci:app:$n docker://127.0.0.1:5000/library/app:$n; done"
    ));
}

/// A stack of which everything is of this version, with a database beside it.
fn write(repo: &Repo, version: usize) {
    let text = format!(
        "name: shop\nservices:\n  web:\n    image: app:{version}\n    stop_signal: SIGKILL\n    \
         command: [sh, -c, 'cat /version /own /page; exec sleep 1000000']\n    configs: [own]\n    \
         volumes: ['./page:/page:ro', 'kept:/kept']\n  \
         db:\n    image: redis:7\n    user: root\n    \
         command: redis-server --protected-mode no --maxclients {clients}\n    \
         volumes: ['./data:/data']\nvolumes:\n  kept:\nconfigs:\n  own:\n    file: ./own.conf\n",
        clients = 100 + version,
    );
    repo.write("stacks/shop/compose.yaml", &text);
    repo.write("stacks/shop/own.conf", &format!(" config {version}"));
    repo.write("stacks/shop/page", &format!(" page {version}\n"));
}

const SERVE: [&str; 8] = [
    "--git",
    "http://127.0.0.1:8418/stacks.git",
    "--branch",
    "main",
    "--path",
    "stacks/*",
    "--poll",
    "200ms",
];

#[track_caller]
fn until_good(host: &Host, serve: &Serve, commit: &str) {
    let there = || {
        let row = host.status("shop")?;
        let revision = row["revision"].as_str().filter(|revision| !revision.is_empty())?;
        (commit.starts_with(revision)
            && row["sync"] == "InSync"
            && row["operation"]["state"] == "succeeded")
            .then_some(())
    };
    until(&format!("{commit} is good"), there, || format!("{}\n{}", serve.said(), host.overview()));
}

/// Pushes these versions one after the other, each when the one before is good; their commits.
fn push(
    host: &Host,
    repo: &Repo,
    serve: &Serve,
    versions: impl Iterator<Item = usize>,
) -> Vec<String> {
    let mut commits = Vec::new();
    for version in versions {
        write(repo, version);
        let commit = repo.push(&format!("version {version}"));
        until_good(host, serve, &commit);
        commits.push(commit);
    }
    commits
}

/// The versions of the images that are here.
fn images(host: &Host) -> Vec<usize> {
    let rows = host.keel(&["images", "--format", "json"]).ok().json();
    let version =
        |row: &serde_json::Value| row["reference"].as_str()?.strip_prefix("app:")?.parse().ok();
    let mut found: Vec<_> = rows.as_array().unwrap().iter().filter_map(version).collect();
    found.sort_unstable();
    found
}

/// Makes everything that was remembered, or came, older by more than a day; nobody serves.
fn age(host: &Host) {
    let record = host.root().join("records/images.json");
    let text = fs::read_to_string(&record).unwrap();
    let (head, json) = text.split_once('\n').unwrap();
    let mut json: serde_json::Value = serde_json::from_str(json).unwrap();
    for (_, at) in json["needed"].as_object_mut().unwrap() {
        *at = (at.as_u64().unwrap() - 25 * 60 * 60 * 1000).into();
    }
    fs::write(&record, format!("{head}\n{json}\n")).unwrap();
    host.sh("find root/images root/secrets -type f -exec touch -d '25 hours ago' {} +");
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).map_or(0, Iterator::count)
}

fn redis(host: &Host, words: &str) -> String {
    let arguments: Vec<_> =
        ["exec", "shop/db", "redis-cli"].into_iter().chain(words.split(' ')).collect();
    host.keel(&arguments).ok().stdout.trim().to_owned()
}

#[test]
fn fifty_pushes_leave_what_runs_and_what_can_be_come_back_to() {
    let mut host = Host::with_own_registry();
    let config = fs::read_to_string(host.path("keel.yaml")).unwrap();
    host.write("keel.yaml", &format!("{config}policy: {{ settle: 100ms }}\n"));
    push_images(&host, PUSHES);
    let repo = Repo::new(&host);
    write(&repo, 1);
    let first = repo.push("version 1");
    let serving = host.serve(&SERVE);
    until_good(&host, &serving, &first);
    let answers = || (redis(&host, "set first kept") == "OK").then_some(());
    until("the database answers", answers, || host.overview());
    host.keel(&["exec", "shop/web", "sh", "-c", "echo volume > /kept/file"]).ok();
    // A person's own.
    host.keel(&["pull", "busybox:2"]).ok();
    let commits: Vec<_> = [vec![first], push(&host, &repo, &serving, 2..=PUSHES)].concat();
    assert_eq!(images(&host), Vec::from_iter(1..=PUSHES), "it is not a day yet");
    assert_eq!(redis(&host, "get first"), "kept");

    // All that a push brings is taken away a day later, also when that dies again and again.
    serving.kill();
    age(&host);
    for pause in 1.. {
        let mut dying =
            host.command(env!("CARGO_BIN_EXE_keel")).arg("serve").args(SERVE).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 * pause));
        dying.kill().unwrap();
        dying.wait().unwrap();
        if images(&host).len() < PUSHES {
            break;
        }
    }
    let serving = host.serve(&SERVE);
    let last = [PUSHES - 3, PUSHES - 2, PUSHES - 1, PUSHES];
    until("the old images go", || (images(&host) == last).then_some(()), || serving.said());
    let root = host.root();
    let left = || {
        let few = |what: &Path, most: usize| entries(what) <= most;
        (few(&root.join("sources/default/checkouts"), 5) && few(&root.join("secrets"), 4))
            .then_some(())
    };
    until("all else goes", left, || {
        host.sh("find root/sources/*/checkouts root/secrets -maxdepth 1")
    });
    // Its own layer for each, and those of busybox, redis and the other busybox.
    let whole = || (entries(&root.join("images/layers")) <= 4 + 3).then_some(());
    until("unpacked layers go", whole, || host.sh("ls root/images/layers"));
    assert_eq!(entries(&root.join("tasks")), 2, "{}", host.overview());
    assert!(host.keel(&["images"]).ok().stdout.contains("busybox"), "a person's own stays");

    // Back to each of them, without a registry or Git.
    drop(repo);
    host.stop_registry();
    for version in last.into_iter().rev().skip(1).chain([PUSHES]) {
        host.keel(&["rollback", "shop", &commits[version - 1]]).ok();
        let says = format!("{version} config {version} page {version}");
        let said = || host.keel(&["logs", "shop-web-1"]).stdout.contains(&says).then_some(());
        until(&says, said, || host.overview());
        assert_eq!(redis(&host, "get first"), "kept");
    }
    let kept = host.keel(&["exec", "shop/web", "cat", "/kept/file"]).ok().stdout;
    assert_eq!(kept.trim(), "volume");

    // The store is whole.
    host.start_registry();
    host.keel(&["pull", "app:1"]).ok();
    let ran = host.keel(&["run", "--rm", "app:1", "cat", "/version"]).ok();
    assert_eq!(ran.stdout.trim(), "1");
    let left =
        || (!host.keel(&["network", "ls", "-q"]).ok().stdout.contains("bridge")).then_some(());
    until("its network goes with it", left, || host.overview());
    drop(serving);
    host.keel(&["down", "-v", "shop"]).ok();
    host.finish();
}

#[test]
fn a_disk_that_fills_up_is_cleared_before_it_is_full() {
    let host = Host::with_own_registry();
    let config = fs::read_to_string(host.path("keel.yaml")).unwrap();
    host.write("keel.yaml", &format!("{config}policy: {{ settle: 100ms }}\n"));
    push_images(&host, 8);
    // A root has two copies of the executable, and a debug build's is large.
    host.sh("mkdir root && mount -t tmpfs -o size=1g keel-test root");
    let repo = Repo::new(&host);
    write(&repo, 1);
    repo.push("version 1");
    let serving = host.serve(&SERVE);
    push(&host, &repo, &serving, 2..=6);
    assert_eq!(images(&host), [1, 2, 3, 4, 5, 6]);
    host.sh(
        "size=$(df --output=size -B1 root | tail -1); used=$(df --output=used -B1 root | tail -1); \
             fallocate -l $((size * 85 / 100 - used - (2 << 20))) root/filler",
    );
    push(&host, &repo, &serving, 7..=8);
    let gone = || (!images(&host).contains(&1)).then_some(());
    until("the oldest go", gone, || format!("{}\n{}", serving.said(), host.sh("df root")));
    let left = images(&host);
    assert!(left.ends_with(&[5, 6, 7, 8]), "{left:?}");
    // Its own layer for each, that of busybox below them all, and the database's.
    let layers = || (entries(&host.root().join("images/layers")) == left.len() + 2).then_some(());
    until("with what only they had", layers, || host.sh("ls root/images/layers"));
    serving.until_said("room: removed");
    drop(serving);
    host.keel(&["down", "-v", "shop"]).ok();
    drop(repo);
    host.sh("umount root");
    host.finish();
}
