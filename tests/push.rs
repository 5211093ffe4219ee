//! A push becomes a running stack.

mod support;

use support::git::Repo;
use support::{Host, Serve, until};

fn stack(version: &str) -> String {
    format!(
        "services:\n  app:\n    image: busybox:1\n    init: true\n    \
         command: [sh, -c, 'echo version {version}; exec sleep 1000000']\n    volumes: [kept:/kept]\n  \
         extra:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\nvolumes:\n  kept:\n"
    )
}

fn serve(host: &Host, repo: &Repo) -> Serve {
    host.serve(&["--git", &repo.url(), "--branch", "main", "--path", "stacks/*", "--poll", "1s"])
}

/// Waits until the stack has this revision and is settled.
#[track_caller]
fn until_at(host: &Host, serve: &Serve, stack: &str, commit: &str) {
    let there = || {
        let row = host.status(stack)?;
        let revision = row["revision"].as_str()?.to_owned();
        (commit.starts_with(&revision)
            && !revision.is_empty()
            && row["sync"] == "InSync"
            && row["health"] == "Healthy")
            .then_some(())
    };
    let explain = || format!("{}\n{}", serve.said(), host.overview());
    until(&format!("{stack} is at {commit}"), there, explain);
}

#[test]
fn a_push_is_converged_and_what_it_no_longer_names_is_removed() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("stacks/one/compose.yaml", &stack("1"));
    repo.write("stacks/two/compose.yaml", &stack("1"));
    repo.write("stacks/three/compose.yaml", &stack("1"));
    let first = repo.push("first");
    let serve = serve(&host, &repo);
    for name in ["one", "two", "three"] {
        until_at(&host, &serve, name, &first);
    }
    let two = host.container("two-app-1").unwrap();

    repo.write("stacks/one/compose.yaml", &stack("2"));
    let second = repo.push("second");
    until_at(&host, &serve, "one", &second);
    let says = || host.keel(&["logs", "one-app-1"]).stdout.contains("version 2").then_some(());
    until("the new command runs", says, || serve.said());
    assert_eq!(
        host.container("two-app-1").unwrap()["id"],
        two["id"],
        "one commit touches what it names"
    );

    let only_app = stack("2").replace(
        "  extra:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n",
        "",
    );
    repo.write("stacks/one/compose.yaml", &only_app);
    std::fs::remove_dir_all(repo.tree.join("stacks/three")).unwrap();
    let third = repo.push("third");
    until_at(&host, &serve, "one", &third);
    let gone = || {
        let rows = host.ps();
        let left =
            |row: &serde_json::Value| row["name"] == "one-extra-1" || row["stack"] == "three";
        (!rows.iter().any(left) && host.status("three").is_none()).then_some(())
    };
    until("service and stack are removed", gone, || host.overview());
    let volumes = host.keel(&["volume", "ls", "-q"]).ok().stdout;
    assert!(volumes.contains("three_kept"), "a removed stack's data stays: {volumes}");

    repo.write("stacks/one/compose.yaml", &stack("forced"));
    let forced = repo.force_push("forced");
    until_at(&host, &serve, "one", &forced);
    drop(serve);
    for name in ["one", "two"] {
        host.keel(&["down", "-v", name]).ok();
    }
    host.keel(&["volume", "rm", "three_kept"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_revision_that_removes_too_much_waits_for_a_word() {
    let host = Host::new();
    let repo = Repo::new(&host);
    for name in ["a", "b", "c"] {
        repo.write(&format!("stacks/{name}/compose.yaml"), &stack("1"));
    }
    let first = repo.push("first");
    let serve = serve(&host, &repo);
    for name in ["a", "b", "c"] {
        until_at(&host, &serve, name, &first);
    }
    for name in ["a", "b"] {
        std::fs::remove_dir_all(repo.tree.join("stacks").join(name)).unwrap();
    }
    repo.push("half gone");
    serve.until_said("keel confirm");
    assert_eq!(host.ps().len(), 6, "nothing was removed: {}", host.overview());
    host.keel(&["confirm"]).ok();
    let gone = || (host.status("a").is_none() && host.status("b").is_none()).then_some(());
    until("confirmed, they go", gone, || format!("{}\n{}", serve.said(), host.overview()));
    drop(serve);
    host.keel(&["down", "-v", "c"]).ok();
    host.keel(&["volume", "rm", "a_kept", "b_kept"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_suspended_stack_is_held_off() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("stacks/one/compose.yaml", &stack("1"));
    let first = repo.push("first");
    let serve = serve(&host, &repo);
    until_at(&host, &serve, "one", &first);
    let before = host.container("one-app-1").unwrap();
    host.keel(&["suspend", "one"]).ok();
    repo.write("stacks/one/compose.yaml", &stack("2"));
    repo.push("second");
    let suspended = || {
        host.status("one").filter(|row| row["health"] == "Suspended" && row["sync"] == "OutOfSync")
    };
    until("it is known to be behind, and held", suspended, || host.overview());
    assert_eq!(host.container("one-app-1").unwrap()["id"], before["id"]);
    host.keel(&["resume", "one"]).ok();
    let replaced = || (host.container("one-app-1")?["id"] != before["id"]).then_some(());
    until("resumed, it follows", replaced, || host.overview());
    repo.write("stacks/one/compose.yaml", &stack("3"));
    let third = repo.push("third");
    host.keel(&["sync"]).ok();
    until_at(&host, &serve, "one", &third);
    drop(serve);
    host.keel(&["down", "-v", "one"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_person_goes_back_to_a_good_revision_and_stays_there() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("stacks/shop/compose.yaml", &stack("1"));
    let first = repo.push("first");
    let serve = serve(&host, &repo);
    let settled = |commit: &str| {
        until_at(&host, &serve, "shop", commit);
        let there = || {
            let row = host.status("shop")?;
            (row["operation"]["state"] == "succeeded").then_some(())
        };
        until("it has settled", there, || host.overview());
    };
    settled(&first);
    repo.write("stacks/shop/compose.yaml", &stack("2"));
    let second = repo.push("second");
    settled(&second);
    let unknown = host.keel(&["rollback", "shop", "abcdef"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains(&format!("those that are: {}", &second[..12])), "{unknown:?}");
    let back = host.keel(&["rollback", "shop"]).ok();
    assert!(back.stderr.contains(&format!("shop stays at {}", &first[..12])), "{back:?}");
    let says = |version: &str| {
        let said = || {
            let logs = host.keel(&["logs", "shop-app-1"]).stdout;
            logs.contains(&format!("version {version}")).then_some(())
        };
        until(&format!("version {version} runs"), said, || host.overview());
    };
    says("1");
    repo.write("stacks/shop/compose.yaml", &stack("3"));
    let third = repo.push("third");
    host.keel(&["sync"]).ok();
    let row = host.status("shop").unwrap();
    assert!(row["notes"][0].as_str().unwrap().starts_with("rolled back to "), "{row}");
    assert_eq!(
        (row["sync"].as_str(), row["health"].as_str()),
        (Some("OutOfSync"), Some("Healthy"))
    );
    says("1");
    host.keel(&["resume", "shop"]).ok();
    until_at(&host, &serve, "shop", &third);
    says("3");
    let history = host.keel(&["history", "shop", "--format", "json"]).json();
    let triggers: Vec<_> =
        history.as_array().unwrap().iter().map(|row| row["trigger"].as_str().unwrap()).collect();
    let of = |commit: &str, by: &str| format!("revision {} of source default, {by}", &commit[..12]);
    let expected = [of(&first, "start of keel serve"), of(&second, "poll")];
    assert_eq!(triggers[..2], expected, "{history:#}");
    assert!(triggers[2].starts_with(&format!("rollback to {} by ", &first[..12])), "{history:#}");
    assert!(triggers[3].starts_with(&of(&third, "")), "{history:#}");
    assert_eq!(
        (&history[1]["state"], &history[1]["subject"]),
        (&"succeeded".into(), &"second".into())
    );
    let shown = host.keel(&["history", "show", &history[1]["number"].to_string()]).ok().stdout;
    let actions = "app.1 replace: command";
    assert!(shown.contains(actions) && shown.contains(": second"), "{shown}");
    assert!(shown.contains("stages     fetch ") && shown.contains("ms, plan "), "{shown}");
    drop(serve);
    host.keel(&["down", "-v", "shop"]).ok();
    drop(repo);
    host.finish();
}

#[test]
fn a_bad_file_touches_only_its_own_stack() {
    let host = Host::new();
    let repo = Repo::new(&host);
    repo.write("stacks/good/compose.yaml", &stack("1"));
    repo.write("stacks/bad/compose.yaml", &stack("1"));
    let first = repo.push("first");
    let serve = serve(&host, &repo);
    until_at(&host, &serve, "good", &first);
    until_at(&host, &serve, "bad", &first);
    let bad = host.container("bad-app-1").unwrap();
    repo.write("stacks/good/compose.yaml", &stack("2"));
    repo.write("stacks/bad/compose.yaml", &stack("2").replace("image:", "imaage:"));
    let second = repo.push("second");
    until_at(&host, &serve, "good", &second);
    serve.until_said("did you mean `image`?");
    let row = host.container("bad-app-1").unwrap();
    assert_eq!((&row["id"], &row["pid"]), (&bad["id"], &bad["pid"]), "the bad one runs on");
    let status = host.keel(&["status", "--format", "json", "bad"]).json();
    let (row, operation) = (&status[0], &status[0]["operation"]);
    assert_eq!(row["sync"], "Unknown", "{row}");
    assert_eq!(row["health"], "Healthy", "{row}");
    assert_eq!(operation["state"], "failed", "{row}");
    let why = format!("revision {} refused: stacks/bad/compose.yaml:", &second[..12]);
    assert!(operation["reason"].as_str().unwrap().starts_with(&why), "{row}");
    assert_eq!(host.keel(&["status", "--exit-code", "bad"]).code, 1);
    let night = host.keel(&["status", "bad"]).ok().stdout;
    let told = [
        format!("revision {}, by ", &second[..12]),
        ": second".to_owned(),
        format!("revision {} runs on", &first[..12]),
        "`keel history show ".to_owned(),
    ];
    for words in told {
        assert!(night.contains(&words), "{words}: {night}");
    }
    let history = host.keel(&["history", "bad"]).ok().stdout;
    assert!(history.contains("refused: stacks/bad/compose.yaml:"), "{history}");
    // The next commit that can be used makes it good again.
    repo.write("stacks/bad/compose.yaml", &stack("2"));
    let third = repo.push("third");
    until_at(&host, &serve, "bad", &third);
    host.keel(&["status", "--exit-code", "bad"]).ok();
    drop(serve);
    for name in ["good", "bad"] {
        host.keel(&["down", "-v", name]).ok();
    }
    drop(repo);
    host.finish();
}
