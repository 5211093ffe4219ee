//! Every folder of `examples/stacks` runs as it is.

mod support;

use std::path::PathBuf;
use support::{Host, until};

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/stacks").join(name);
    path.to_string_lossy().into_owned()
}

#[test]
fn site_serves_its_pages_and_follows_its_configuration() {
    let host = Host::new();
    host.keel(&["check", &example("site")]).ok();
    host.sh(&format!("cp -r {} site", example("site")));
    host.keel(&["up", "-d", "./site"]).ok();
    assert!(host.until_get("http://127.0.0.1:8081/").contains("It runs"));
    assert!(host.until_get("http://127.0.0.1:8081/about").contains("from a Git repo"));
    let before = host.container("site-web-1").unwrap();
    let conf = host.path("site/server.conf");
    std::fs::write(&conf, std::fs::read_to_string(&conf).unwrap().replace("a Git repo", "an edit"))
        .unwrap();
    host.keel(&["up", "-d", "./site"]).ok();
    assert!(host.until_get("http://127.0.0.1:8081/about").contains("from an edit"));
    assert_ne!(
        host.container("site-web-1").unwrap()["id"],
        before["id"],
        "an edited config file restarts"
    );
    host.keel(&["down", "-v", "site"]).ok();
    host.finish();
}

#[test]
fn guestbook_waits_for_its_database_and_keeps_what_was_written() {
    let host = Host::new();
    host.keel(&["up", "-d", &example("guestbook")]).ok();
    host.until_get("http://127.0.0.1:8082/");
    host.sh("curl -sf -d 'Ann was here' http://127.0.0.1:8082/");
    assert_eq!(host.until_get("http://127.0.0.1:8082/"), "Ann was here\n");
    let (db, app) =
        (host.container("guestbook-db-1").unwrap(), host.container("guestbook-app-1").unwrap());
    assert!(db["created"].as_str() <= app["created"].as_str());
    host.keel(&["down", "guestbook"]).ok();
    host.keel(&["up", "-d", &example("guestbook")]).ok();
    let kept = || host.get("http://127.0.0.1:8082/").filter(|text| text == "Ann was here\n");
    until("the entries are there again", kept, || host.overview());
    host.keel(&["down", "-v", "guestbook"]).ok();
    host.finish();
}

#[test]
fn all_are_sound() {
    let host = Host::bare();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/stacks");
    let called = host.keel(&["check", &folder.to_string_lossy()]).ok();
    assert!(!called.stderr.contains("error"), "{called:?}");
}
