//! `keel scale`: another number of tasks for a while, seen everywhere, and gone when its time is over.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::git::{Repo, serve};
use support::{Host, until};

const SHOP: &str = "name: shop
x-keel: { settle: 100ms }
services:
  web:
    image: busybox:1
    init: true
    command: [sleep, '1000000']
    deploy: { replicas: 2 }
  front:
    image: busybox:1
    init: true
    container_name: front
    command: [sleep, '1000000']
";

/// The numbers of the containers of `web` that run.
fn running(host: &Host) -> Vec<String> {
    let web = host.ps().into_iter();
    let web = web.filter(|row| row["service"] == "web" && row["state"] == "running");
    let mut slots: Vec<_> = web.map(|row| row["slot"].as_str().unwrap().to_owned()).collect();
    slots.sort();
    slots
}

fn history(host: &Host) -> Vec<String> {
    let rows = host.keel(&["history", "shop", "--format", "json"]).json();
    rows.as_array().unwrap().iter().map(|row| row["trigger"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_number_holds_for_a_while_and_is_seen_by_everyone() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("shop/compose.yaml", SHOP);
    let first = repo.push("first");
    let serving = serve(&host, &repo);
    host.until_ended("shop", &first, "succeeded");

    let said = host.keel(&["scale", "shop/web=4", "--for", "1h", "--reason", "sale"]).ok();
    assert!(said.stderr.contains("web is scaled to 4 tasks by "), "{said:?}");
    assert_eq!(running(&host), ["1", "2", "3", "4"]);
    let status = host.status("shop").unwrap();
    let noted = status["notes"].to_string();
    assert!(
        noted.contains("(the source says 2): sale") && noted.contains(" for another "),
        "{status}"
    );
    for command in [&["ps"][..], &["plan", "shop"], &["drift", "shop"], &["drift"]] {
        let shown = host.keel(command).ok().stdout;
        assert!(shown.contains("web is scaled to 4 tasks by "), "{command:?}: {shown}");
    }
    assert!(history(&host).last().unwrap().starts_with("scale of web to 4 by "));

    // Git's word about something else changes nothing of it.
    repo.write("shop/compose.yaml", &SHOP.replace("init: true", "init: false"));
    let second = repo.push("second");
    host.keel(&["sync"]).ok();
    host.until_ended("shop", &second, "succeeded");
    assert_eq!(running(&host), ["1", "2", "3", "4"]);

    // Nobody has to do anything for its end, a restarted controller included.
    host.keel(&["scale", "shop/web=3", "--for", "10s"]).ok();
    host.until_ended("shop", &second, "succeeded");
    serving.kill();
    let _serving = serve(&host, &repo);
    let back = || (running(&host) == ["1", "2"]).then_some(());
    until("the source's number counts again", back, || host.overview());
    let ended =
        || history(&host).last()?.starts_with("end of the scale of web to 3 by ").then_some(());
    until("the history says why", ended, || format!("{:#?}", history(&host)));
    let quiet = || (host.status("shop")?["notes"].as_array()?.is_empty()).then_some(());
    until("nothing is noted any more", quiet, || host.overview());

    host.keel(&["scale", "shop/web=1"]).ok();
    assert_eq!(running(&host).len(), 1);
    host.keel(&["scale", "--reset", "shop/web"]).ok();
    assert_eq!(running(&host).len(), 2);
    host.keel(&["down", "-v", "shop"]).ok();
    drop(_serving);
    drop(repo);
    host.finish();
}

#[test]
fn what_cannot_be_scaled_is_refused_with_the_reason() {
    let host = Host::new();
    host.write("shop/compose.yaml", SHOP);
    host.keel(&["up", "-d", "./shop"]).ok();
    for (arguments, code, why) in [
        (&["nix/web=2"][..], 1, "no such stack: nix"),
        (&["shop/wbe=2"], 1, "stack shop has no service wbe"),
        (&["shop/front=2"], 1, "its container is named front, which only one can have"),
        (&["shop/web=-1"], 64, "`-1` is no number of tasks"),
        (&["--reset", "shop/web"], 1, "shop/web is not scaled"),
    ] {
        let said = host.keel(&[&["scale"], arguments].concat());
        assert!(said.stderr.contains(why), "{arguments:?}: {said:?}");
        assert_eq!(said.code, code, "{said:?}");
    }
    // Without a controller, too.
    host.keel(&["scale", "shop/web=3", "front=0"]).ok();
    assert_eq!(running(&host), ["1", "2", "3"]);
    assert_eq!(host.container("front"), None);
    host.keel(&["down", "-v", "shop"]).ok();
    host.finish();
}
