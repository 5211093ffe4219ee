//! A pool's certificate authority: it is replaced while nodes are on and off, and its key is sealed on the disk.

#![allow(clippy::unwrap_used)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keel_pool::identity::Authority;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use support::pool::{Agent, Pool};
use support::{Host, until};

const STACK: &str = r#"
services:
  home:
    image: keel.local/hello
    deploy: { placement: { constraints: [ "node.labels.zone != b" ] } }
  far:
    image: keel.local/hello
    deploy: { placement: { constraints: [ "node.labels.zone == b" ] } }
"#;

fn authority(controller: &Host) -> Value {
    controller.keel(&["ca", "show", "--format", "json"]).ok().json()
}

#[track_caller]
fn until_rotated(controller: &Host) {
    let done = || authority(controller)["rotation"].is_null().then_some(());
    until("every node has renewed", done, || authority(controller).to_string());
}

#[test]
fn an_authority_is_replaced_and_a_node_that_was_off_renews_when_it_returns() {
    let pool = Pool::new(STACK);
    let serve = pool.serve();
    let agent = pool.join();
    let far = pool.until_running("web-far-1");
    let first = authority(&pool.controller)["root"]["digest"].clone();
    pool.controller.keel(&["ca", "rotate"]).ok();
    until_rotated(&pool.controller);
    serve.until_said("the former root of the pool's certificate authority is dropped");
    let second = authority(&pool.controller)["root"]["digest"].clone();
    assert_ne!(first, second);
    assert_eq!(pool.until_running("web-far-1")["pid"], far["pid"]);

    // It is off while the next one begins, and the controller dies before it is back.
    let stale = pool.token(&[]);
    drop(agent);
    pool.until_state("unknown");
    let shown = pool.controller.keel(&["ca", "rotate"]).ok();
    assert!(shown.stderr.contains("shed"), "{shown:?}");
    let third = authority(&pool.controller)["root"]["digest"].clone();
    assert_eq!(shown.stdout.trim(), third.as_str().unwrap());
    serve.kill();
    let serve = pool.serve();
    let begun = authority(&pool.controller);
    assert_eq!(
        (&begun["root"]["digest"], &begun["rotation"]["former"]["digest"]),
        (&third, &second)
    );
    assert_eq!(begun["rotation"]["waiting"], serde_json::json!(["shed"]));
    let text = pool.controller.keel(&["ca", "show"]).ok().stdout;
    assert!(
        text.contains("0 of 1 nodes have renewed") && text.contains("Not renewed:  shed"),
        "{text}"
    );
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2, "{text}");
    let again = pool.controller.keel(&["ca", "rotate"]);
    assert!(again.code == 1 && again.stderr.contains("is being replaced already"), "{again:?}");

    let listed = pool.controller.keel(&["token", "ls"]).ok().stdout;
    assert!(listed.contains("revoked"), "{listed}");
    let words = ["agent", "--join", "10.77.0.1:7443", "--token", &stale, "--name", "late"];
    let rooted = pool.shed.root().join("pool");
    let kept = pool.shed.path("kept");
    fs::rename(&rooted, &kept).unwrap();
    let refused = pool.shed.keel(&words);
    assert!(
        refused.code == 1 && refused.stderr.contains("was replaced since the token was made"),
        "{refused:?}"
    );
    fs::remove_dir_all(&rooted).unwrap();
    fs::rename(&kept, &rooted).unwrap();

    let agent = Agent::start(&pool.shed, &[]);
    until_rotated(&pool.controller);
    pool.until_state("ready");
    serve.until_said("the former root of the pool's certificate authority is dropped");
    assert_eq!(pool.until_running("web-far-1")["pid"], far["pid"], "{}", agent.said());
    // The new certificate is what it connects with from now on.
    drop(agent);
    pool.until_state("unknown");
    let agent = Agent::start(&pool.shed, &[]);
    pool.until_state("ready");
    assert_eq!(pool.until_running("web-far-1")["pid"], far["pid"], "{}", agent.said());
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}

/// Files below a folder that hold one of these.
fn holding(folder: &Path, parts: &[Vec<u8>]) -> String {
    // A search by lines finds what has no end of a line in it.
    let longest = |part: &Vec<u8>| {
        let pieces = part.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        pieces.max_by_key(Vec::len).unwrap()
    };
    let escaped = |part: Vec<u8>| part.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let pattern: Vec<String> = parts.iter().map(longest).map(escaped).collect();
    let mut call = Command::new("grep");
    call.env("LC_ALL", "C").args(["-rlaP", &pattern.join("|")]).arg(folder);
    let done = call.output().unwrap();
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// What only the key's owner may know: as it is, and as a line of PEM and of base 64 has it.
fn secrets(authority: &Authority) -> Vec<Vec<u8>> {
    let text = String::from_utf8(authority.encode()).unwrap();
    let body = text.split("-----").nth(2).unwrap();
    let joined: String = body.split_whitespace().collect();
    let der = STANDARD.decode(joined.as_bytes()).unwrap();
    // The last line is of the public key, which certificates have, too.
    let lines = body.split_whitespace().take(2).map(|line| line.as_bytes().to_vec());
    // The secret number of a P-256 key in PKCS #8.
    lines.chain([joined.as_bytes()[48..88].to_vec(), der[36..68].to_vec()]).collect()
}

#[track_caller]
fn check_sealed(root: &Path, authority: &Authority) {
    assert_eq!(holding(root, &secrets(authority)), "", "the key is on the disk");
}

#[test]
fn the_authoritys_key_is_sealed_on_the_disk_and_without_the_unlock_key_nothing_is_decided() {
    let pool = Pool::new(STACK);
    // As an earlier version kept it.
    let planted = Authority::create(1_700_000_000_000).unwrap();
    let file = pool.controller.root().join("pool/authority.pem");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, planted.encode()).unwrap();
    for part in secrets(&planted).drain(..2) {
        let found = holding(&pool.controller.root(), &[part]);
        assert!(found.contains("pool/authority.pem"), "the search finds what is there: {found}");
    }
    let serve = pool.serve();
    let agent = pool.join();
    let (home, far) = (pool.until_running("web-home-1"), pool.until_running("web-far-1"));
    let shown = authority(&pool.controller);
    assert_eq!(shown["root"]["digest"], planted.pin().to_string());
    assert_eq!(
        (&shown["sealed"], &shown["root"]["since"]),
        (&"file".into(), &"2023-11-14T22:13:20Z".into())
    );
    check_sealed(&pool.controller.root(), &planted);
    let own = pool.controller.root().join("pool/sealing-key");
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
    serve.kill();

    // A key that is kept elsewhere, and is not there yet.
    let key = pool.controller.path("unlock");
    let config = fs::read_to_string(pool.controller.path("keel.yaml")).unwrap();
    let named = format!("{config}pool: {{ unlock-key-file: {} }}\n", key.display());
    pool.controller.write("keel.yaml", &named);
    let serve = pool.serve();
    serve.until_said("the pool is locked: cannot read the unlock key file");
    let denied = pool.controller.keel(&["status"]);
    assert!(denied.code != 0 && denied.stderr.contains("the pool is locked"), "{denied:?}");
    for container in [&home, &far] {
        assert!(Path::new(&format!("/proc/{}", container["pid"])).exists(), "it keeps running");
    }
    let random = STANDARD.encode(fs::read("/proc/sys/kernel/random/uuid").unwrap());
    fs::write(&key, &random).unwrap();
    serve.until_said("the pool is unlocked");
    pool.until_state("ready");
    assert_eq!(pool.until_running("web-home-1")["pid"], home["pid"]);
    let shown = authority(&pool.controller);
    assert_eq!(shown["sealed"], "unlock-key");
    assert_eq!(shown["root"]["digest"], planted.pin().to_string());
    assert!(!own.exists());
    check_sealed(&pool.controller.root(), &planted);
    serve.kill();

    fs::write(&key, random.replace('M', "N").to_lowercase()).unwrap();
    let serve = pool.serve();
    serve.until_said("is not sealed with the unlock key in");
    let backup = pool.controller.path("backup");
    let saved = pool.controller.keel(&["backup", backup.to_str().unwrap()]).ok();
    assert!(saved.stderr.contains("also needs the unlock key file"), "{saved:?}");
    restore_elsewhere(&backup, &random, &planted);
    let (code, said) = serve.interrupt();
    assert_eq!(code, 0, "a locked controller ends when it is told to: {said}");

    fs::write(&key, &random).unwrap();
    let serve = pool.serve();
    pool.until_state("ready");
    assert_eq!(pool.until_running("web-far-1")["pid"], far["pid"], "{}", agent.said());
    pool.controller.keel(&["down", "-v", "web"]).ok();
    drop((agent, serve));
    pool.finish();
}

/// Another machine takes the pool over, once it has the key.
#[track_caller]
fn restore_elsewhere(backup: &Path, random: &str, planted: &Authority) {
    let other = Host::bare();
    let restore = || other.keel(&["restore", backup.to_str().unwrap()]);
    let without = restore();
    assert!(without.code == 1 && without.stderr.contains("unlock-key-file"), "{without:?}");
    assert!(!other.root().join("records/pool").exists(), "nothing was restored");
    let key = other.path("unlock");
    fs::write(&key, random).unwrap();
    let config = format!(
        "listen: {{ agents: \"127.0.0.1:7443\" }}\npool: {{ unlock-key-file: {} }}\n",
        key.display()
    );
    other.write("keel.yaml", &config);
    other.write("stacks/README", "there is none yet");
    restore().ok();
    let serve = other.serve(&["stacks"]);
    assert_eq!(authority(&other)["root"]["digest"], planted.pin().to_string());
    drop(serve);
    other.finish();
}
