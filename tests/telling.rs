//! What whoever watches `keel serve` reads: warnings once, a crash loop calmly.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Host, until};

#[test]
fn warnings_and_conflicts_are_told_once() {
    let host = Host::new();
    let stack = |port: &str| {
        format!(
            "services:\n  web:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n    \
             container_name: the-web\n    ports: ['{port}']\n"
        )
    };
    host.write("stacks/a/compose.yaml", &stack("8080:80"));
    host.write("stacks/b/compose.yaml", &stack("8080:80").replace("the-web", "other"));
    let serve = host.serve(&["stacks"]);
    let conflict = "stacks `a` and `b` both publish port 8080/tcp [W0308]";
    serve.until_said(&format!("warning: b/compose.yaml:7:13: {conflict}"));
    let rows = || host.status("b").unwrap()["warnings"].as_array().unwrap().clone();
    assert_eq!(rows().len(), 1, "{:?}", rows());
    assert_eq!(
        (&rows()[0]["code"], &rows()[0]["at"]),
        (&"W0308".into(), &"b/compose.yaml:7:13".into())
    );
    let all = host.keel(&["status"]).stdout;
    assert!(all.contains("b: 1 warning; `keel status b` shows it"), "{all}");
    let one = host.keel(&["status", "b"]).stdout;
    assert!(one.contains(conflict) && one.contains("\n7 |     ports: ['8080:80']"), "{one}");

    // Another revision with the same warning, and one in which it is mended.
    host.write(
        "stacks/c/compose.yaml",
        "services:\n  app: { image: 'busybox:1', init: true, command: sleep 1000000 }\n",
    );
    host.until_well("c-app-1");
    assert_eq!(serve.said().matches(conflict).count(), 1, "{}", serve.said());
    host.write("stacks/b/compose.yaml", &stack("8081:80").replace("the-web", "other"));
    until("it is mended", || rows().is_empty().then_some(()), || serve.said());
    host.write("stacks/b/compose.yaml", &stack("8081:80"));
    serve.until_said("both name a container `the-web` [W0308]");
    for stack in ["a", "b", "c"] {
        host.keel(&["down", stack]).ok();
    }
    drop(serve);
    host.finish();
}

#[test]
fn a_crash_loop_is_told_calmly() {
    let host = Host::new();
    let stack = "services:
  app:
    image: busybox:1
    init: true
    restart: always
    command: sh -c 'test -e /data/ready || exit 3; exec sleep 1000000'
    volumes: ['./data:/data']
";
    host.write("shop/compose.yaml", stack);
    host.write("shop/data/other", "");
    let serve = host.serve(&["shop"]);
    serve.until_said("shop-app-1: restarting (3), restarted 4 times\n");
    let said = serve.said();
    assert_eq!(said.matches("shop-app-1: restarting").count(), 2, "{said}");
    assert!(said.matches("shop: failed: ").count() == 1, "{said}");
    assert!(host.container("shop-app-1").unwrap()["restarts"].as_u64().unwrap() >= 4);
    host.write("shop/data/ready", "");
    serve.until_said("shop-app-1: runs again, after ");
    serve.until_said("shop is healthy");
    host.keel(&["down", "shop"]).ok();
    drop(serve);
    host.finish();
}

#[test]
fn a_status_gives_each_services_reason_and_says_that_nobody_reconciles() {
    let host = Host::new();
    host.write(
        "mixed/compose.yaml",
        "services:\n  made:\n    build: .\n  after:\n    image: busybox:1\n    depends_on: [made]\n  \
         apart:\n    image: busybox:1\n    networks: [lan]\n  fine:\n    image: busybox:1\n    \
         init: true\n    command: sleep 1000000\nnetworks:\n  lan: { external: true, name: the-lan }\n",
    );
    assert_eq!(host.keel(&["up", "-d", "./mixed"]).code, 1);
    let status = host.keel(&["status"]).ok();
    for words in [
        "mixed: made is held: `build`",
        "mixed: after.1: not run yet: `depends_on.made`",
        "mixed: apart.1: network the-lan does not exist",
        "`keel serve` is not running",
    ] {
        assert!(status.stdout.contains(words), "{words}: {status:?}");
    }
    assert_eq!(status.stderr, "", "all of it is the answer");
    let data = host.keel(&["status", "--format", "json"]).ok();
    assert_eq!(data.json()[0]["stack"], "mixed");
    let serve = host.serve(&["mixed"]);
    let status = host.keel(&["status"]).ok();
    assert!(!status.stdout.contains("is not running"), "{status:?}");
    drop(serve);
    host.keel(&["down", "mixed"]).ok();
    host.finish();
}

#[test]
fn a_commit_of_no_meaning_is_not_what_runs_instead_of_one_that_failed() {
    let host = Host::new();
    let repo = support::git::Repo::new(&host);
    let never = "services:\n  app: { image: 'busybox:1', command: 'false', restart: always }\n";
    repo.write("never/compose.yaml", never);
    let first = repo.push("first");
    let serve = support::git::serve(&host, &repo);
    host.until_ended("never", &first, "failed");
    // Another line of the same meaning, then none of the stack's at all.
    for (file, text) in [("never/compose.yaml", format!("# x\n{never}")), ("README", "x".into())] {
        repo.write(file, &text);
        let commit = repo.push("no meaning");
        let read = || host.keel(&["source", "ls"]).stdout.contains(&commit[..12]).then_some(());
        until("the commit is read", read, || serve.said());
        let status = host.keel(&["status", "never"]).ok().stdout;
        assert!(status.contains("nothing was good before it"), "{status}");
        assert!(!status.contains("runs instead") && !status.contains("runs on"), "{status}");
    }
    drop(serve);
    host.keel(&["down", "never"]).ok();
    drop(repo);
    host.finish();
}
