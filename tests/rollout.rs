//! How a rollout decides: what has to be there, what fails, and what comes back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use std::fs;
use support::disk::Disk;
use support::git::{Repo, serve};
use support::{Host, Serve, until};

/// One service; `rest` are lines of it.
fn one(rest: &str) -> String {
    let lines: String = rest.lines().map(|line| format!("    {}\n", line.trim())).collect();
    format!(
        "name: one\nx-keel: {{ settle: 1s }}\nservices:\n  app:\n    image: busybox:1\n    init: true\n{lines}"
    )
}

/// A server of one line, behind a port; nothing but the port changes if nothing else does.
fn serving(version: &str, port: u16) -> String {
    one(&format!(
        "ports: ['{port}:80']
         command: [sh, -c, 'mkdir -p /w; echo {version} >/w/index.html; exec httpd -f -p 80 -h /w']"
    ))
}

struct Site<'a> {
    host: &'a Host,
    repo: Repo<'a>,
}

impl<'a> Site<'a> {
    fn new(host: &'a Host) -> Self {
        Self { host, repo: Repo::new(host) }
    }

    fn push(&self, text: &str) -> String {
        self.repo.write("one/compose.yaml", text);
        self.repo.push("a change")
    }

    fn until(&self, commit: &str, state: &str) -> Value {
        self.host.until_ended("one", commit, state)
    }

    fn end(self, serve: Serve) {
        drop(serve);
        // It may have left with its source already.
        self.host.keel(&["down", "-v", "one"]);
    }
}

#[test]
fn a_port_that_another_program_has_costs_nobody_anything_and_is_awaited() {
    let host = Host::new();
    let site = Site::new(&host);
    let first = site.push(&serving("1", 8090));
    let serve = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let app = host.container("one-app-1").unwrap();
    let mut squatter = host
        .command("python3")
        .args(["-c", "import socket,time; s=socket.socket(); s.bind(('0.0.0.0',8091)); s.listen(); print('ok',flush=True); time.sleep(1000)"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 2];
    std::io::Read::read_exact(squatter.stdout.as_mut().unwrap(), &mut line).unwrap();
    let second = site.push(&serving("2", 8091));
    let tried = || {
        let rows = host.ps();
        let new = rows.iter().find(|row| row["id"] != app["id"] && row["service"] == "app")?;
        new.to_string().contains("port 8091/tcp").then_some(())
    };
    until("it is tried beside the old one", tried, || format!("{:#?}", host.ps()));
    assert_eq!(host.get("http://127.0.0.1:8090/").as_deref(), Some("1\n"));
    let running = host.ps().into_iter().find(|row| row["id"] == app["id"]).unwrap();
    assert_eq!((&running["state"], &running["pid"]), (&"running".into(), &app["pid"]));
    squatter.kill().unwrap();
    squatter.wait().unwrap();
    assert_eq!(host.until_get("http://127.0.0.1:8091/"), "2\n");
    site.until(&second, "succeeded");
    site.end(serve);
    host.finish();
}

#[test]
fn success_is_never_said_of_what_crashed_in_between() {
    let host = Host::new();
    let site = Site::new(&host);
    let first = site.push(&serving("1", 8090));
    let serve = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let healthy = "healthcheck: { test: test -e /ok, interval: 100ms, retries: 1 }\n";
    let cases = [
        (
            "healthy, then it crashes",
            format!(
                "{healthy}restart: unless-stopped\nports: ['8090:80']\ncommand: [sh, -c, 'touch /ok; sleep 0.7; rm /ok; exit 4']"
            ),
            "exited (4) 3 times",
        ),
        (
            "ends well at once, behind a port",
            "ports: ['8090:80']\ncommand: 'true'".to_owned(),
            "exited (0) and its policy is `restart: no`",
        ),
        (
            "ends well again and again, behind a port",
            "restart: always\nports: ['8090:80']\ncommand: 'true'".to_owned(),
            "exited (0) 3 times",
        ),
        (
            "now healthy, now not",
            format!(
                "{healthy}x-keel: {{ health-timeout: 5s }}\nports: ['8090:80']\ncommand: [sh, -c, 'while :; do touch /ok; sleep 0.6; rm /ok; sleep 0.6; done']"
            ),
            "not healthy after 5 s",
        ),
        (
            "no such program",
            "restart: always\ncommand: /no/such".to_owned(),
            "exited (127) 3 times",
        ),
    ];
    for (name, rest, why) in cases {
        let commit = site.push(&one(&rest));
        let failed = site.until(&commit, "failed");
        let reason = failed["reason"].as_str().unwrap();
        assert!(reason.contains(why), "{name}: {reason}");
        let history = host.keel(&["history", "one", "--format", "json"]).json();
        let about =
            history.as_array().unwrap().iter().filter(|row| row["revision"] == commit.as_str());
        let states: Vec<_> = about.map(|row| row["state"].as_str().unwrap()).collect();
        assert!(!states.contains(&"succeeded"), "{name}: {states:?}");
        assert_eq!(host.until_get("http://127.0.0.1:8090/"), "1\n", "{name}");
        let settled = || {
            let row = host.status("one")?;
            (row["operation"]["state"] == "failed" && row["health"] == "Healthy").then_some(())
        };
        until(&format!("{name}: the old one is back"), settled, || host.overview());
    }
    site.end(serve);
    host.finish();
}

#[test]
fn what_failed_comes_back_without_registry_and_git_and_is_remembered() {
    let mut host = Host::new();
    let registry = host.path("registry.yml");
    assert!(registry.exists());
    let crash = one("restart: always\nports: ['8090:80']\ncommand: [sh, -c, 'sleep 0.3; exit 5']");
    let (first, bad) = {
        let site = Site::new(&host);
        let first = site.push(&serving("1", 8090));
        let serve = serve(&host, &site.repo);
        site.until(&first, "succeeded");
        let bad = site.push(&crash);
        let begun = || host.ps().iter().any(|row| row["revision"] == bad.as_str()).then_some(());
        until("it is tried", begun, || host.overview());
        drop(serve);
        (first, bad)
    };
    // Git's server is gone, and now the registry and the tried image's name.
    host.stop_registry();
    let url = "http://127.0.0.1:8418/stacks.git";
    let arguments = ["--git", url, "--branch", "main", "--path", "*", "--poll", "1s"];
    let serve = host.serve(&arguments);
    host.until_ended("one", &bad, "failed");
    assert_eq!(host.until_get("http://127.0.0.1:8090/"), "1\n");
    drop(serve);
    let serve = host.serve(&arguments);
    let row = until(
        "it is known after a restart",
        || host.status("one").filter(|row| row["operation"]["state"] == "failed"),
        || host.overview(),
    );
    assert!(row["notes"].to_string().contains("exited (5) 3 times"), "{row}");
    assert!(first.starts_with(row["revision"].as_str().unwrap()), "{row}");
    let tried = host.ps().iter().any(|row| row["revision"] == bad.as_str());
    assert!(!tried, "{}", host.overview());
    drop(serve);
    host.keel(&["down", "-v", "one"]).ok();
    host.finish();
}

#[test]
fn two_bad_pushes_a_mending_one_and_a_return_to_what_failed() {
    let host = Host::new();
    let site = Site::new(&host);
    let first = site.push(&serving("1", 8090));
    let serving_now = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let bad = |code: u8| {
        one(&format!("restart: always\nports: ['8090:80']\ncommand: [sh, -c, 'exit {code}']"))
    };
    site.push(&bad(6));
    site.push(&bad(7));
    let mended = site.push(&serving("2", 8090));
    site.until(&mended, "succeeded");
    assert_eq!(host.until_get("http://127.0.0.1:8090/"), "2\n");
    let seventh = site.push(&bad(7));
    site.until(&seventh, "failed");
    let eighth = site.push(&format!("# with a word\n{}", bad(7)));
    let known = || {
        let row = host.status("one")?;
        let text = row.to_string();
        (text.contains("exited (7)") && row["operation"]["state"] == "failed").then_some(())
    };
    until("the same again is known to be bad", known, || host.overview());
    host.keel(&["sync", "one"]);
    assert_eq!(host.until_get("http://127.0.0.1:8090/"), "2\n");
    let tried = host.ps().iter().any(|row| row["revision"] == eighth.as_str());
    assert!(!tried, "{}", host.overview());
    // Each phase of a rollout may be the last thing that a controller saw.
    let mut serving_now = serving_now;
    for version in 3..9 {
        site.push(&serving(&version.to_string(), 8090));
        // A moment of its own in each round, whatever it falls on.
        std::thread::park_timeout(std::time::Duration::from_millis(1000 + 130 * version));
        serving_now.kill();
        serving_now = serve(&host, &site.repo);
    }
    let last = site.push(&serving("last", 8090));
    site.until(&last, "succeeded");
    assert_eq!(host.until_get("http://127.0.0.1:8090/"), "last\n");
    assert_eq!(host.ps().len(), 1, "{}", host.overview());
    site.end(serving_now);
    host.finish();
}

#[test]
fn a_full_disk_stops_nothing_and_blames_no_revision() {
    let host = Host::new();
    let disk = Disk::mount(&host, "1G");
    let site = Site::new(&host);
    let first = site.push(&serving("1", 8090));
    let serve = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let app = host.container("one-app-1").unwrap();
    let fill = disk.fill(&host);
    let second = site.push(
        &serving("2", 8090)
            .replace("busybox:1", "nginx:1")
            .replace("exec httpd -f -p 80 -h /w", "exec nginx -g \"daemon off;\""),
    );
    // Whichever step it is that finds no room.
    let told = || {
        let status = host.keel(&["status", "one"]);
        let said = status.stdout + &status.stderr + &host.keel(&["source", "ls"]).stdout;
        said.contains("No space left on device").then_some(())
    };
    until("it says that the disk is full", told, || host.overview());
    let now = host.container("one-app-1").unwrap();
    assert_eq!((&now["id"], &now["pid"]), (&app["id"], &app["pid"]));
    fs::remove_file(&fill).unwrap();
    site.until(&second, "succeeded");
    site.end(serve);
    let left = host.leftovers();
    assert!(
        left.iter().all(|line| line.starts_with("mount: ") && line.contains("ext4")),
        "{left:?}"
    );
    drop(disk);
    host.finish();
}

#[test]
fn an_image_that_is_not_in_the_registry_yet_is_awaited_while_the_old_runs_on() {
    let host = Host::with_own_registry();
    let site = Site::new(&host);
    let two = |image: &str, version: &str| {
        format!(
            "{}  side:\n    image: {image}\n    init: true\n    command: sleep 1000000\n",
            serving(version, 8090)
        )
    };
    let first = site.push(&two("busybox:1", "1"));
    let serve = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let before = host.ps();
    let second = site.push(&two("busybox:built-later", "2"));
    let told = || {
        let row = host.status("one")?;
        let running = row["operation"]["state"] == "running";
        (running && row["notes"].to_string().contains("image busybox:built-later")).then_some(row)
    };
    let row = until("it is awaited", told, || host.overview());
    assert_eq!(
        (&row["operation"]["state"], &row["health"]),
        (&"running".into(), &"Progressing".into())
    );
    let ids = |rows: &[Value]| -> Vec<_> {
        rows.iter().map(|row| (row["id"].clone(), row["pid"].clone())).collect()
    };
    assert_eq!(
        ids(&host.ps()),
        ids(&before),
        "nothing of the old was touched, the other service neither"
    );
    // CI awaits the image that it is building elsewhere.
    let mut ci = host.command(env!("CARGO_BIN_EXE_keel"));
    ci.args(["sync", "one", "--wait"]).stderr(std::process::Stdio::piped());
    let ci = ci.spawn().expect("keel runs");
    host.sh(
        "skopeo copy -q --insecure-policy --src-tls-verify=false --dest-tls-verify=false \
         docker://127.0.0.1:5000/library/busybox:1 docker://127.0.0.1:5000/library/busybox:built-later",
    );
    let said = ci.wait_with_output().expect("it is ours");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    site.until(&second, "succeeded");
    assert_eq!(host.until_get("http://127.0.0.1:8090/"), "2\n");
    // A command of a person's ends at once, and says so; the next revision does not wait.
    let third = site.push(&two("busybox:never", "3"));
    let synced = host.keel(&["sync", "one"]);
    assert_eq!(synced.code, 1, "{synced:?}");
    assert!(synced.stderr.contains("busybox:never"), "{}", synced.stderr);
    assert_eq!(host.until_get("http://127.0.0.1:8090/"), "2\n");
    assert!(!third.is_empty());
    let fourth = site.push(&two("busybox:1", "4"));
    site.until(&fourth, "succeeded");
    site.end(serve);
    host.finish();
}

#[test]
fn a_network_that_is_full_holds_up_a_start_and_no_replacement() {
    let host = Host::new();
    let site = Site::new(&host);
    let networked = |version: &str, replicas: u32| {
        one(&format!(
            "deploy: {{ replicas: {replicas} }}
             command: [sh, -c, 'echo version {version}; exec sleep 1000000']"
        )) + "networks: { default: { ipam: { config: [{ subnet: 10.77.0.0/30 }] } } }\n"
    };
    let first = site.push(&networked("1", 1));
    let serve = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let second = site.push(&networked("2", 1));
    site.until(&second, "succeeded");
    let app = host.container("one-app-1").unwrap();
    site.push(&networked("2", 2));
    let told = || {
        let row = host.status("one")?;
        row["notes"].to_string().contains("has no free address left").then_some(())
    };
    until("it says that the network is full", told, || host.overview());
    let now = host.container("one-app-1").unwrap();
    assert_eq!((&now["id"], &now["pid"]), (&app["id"], &app["pid"]));
    let fourth = site.push(&networked("4", 1));
    site.until(&fourth, "succeeded");
    site.end(serve);
    host.finish();
}

#[test]
fn policy_decides_whether_what_failed_stays_and_whether_data_goes() {
    let host = Host::new();
    let site = Site::new(&host);
    let with = |policy: &str, volume: &str, command: &str| {
        let mounted = format!("volumes: ['{volume}:/data']\n");
        let text = one(&format!(
            "{}command: [sh, -c, '{command}']",
            if volume.is_empty() { "" } else { &mounted }
        ));
        let declared = format!("volumes: {{ {volume}: }}\n");
        text.replace("settle: 1s", &format!("settle: 1s, {policy}"))
            + if volume.is_empty() { "" } else { &declared }
    };
    let runs = "exec sleep 1000000";
    let first = site.push(&with("prune-volumes: true", "old", runs));
    let serve = serve(&host, &site.repo);
    site.until(&first, "succeeded");
    let volumes = || host.keel(&["volume", "ls", "-q"]).ok().stdout;
    assert_eq!(volumes(), "one_old\n");
    // One that fails gives way to what needs the volume.
    let second = site.push(&with("prune-volumes: true", "", "exit 3"));
    site.until(&second, "failed");
    host.until_well("one-app-1");
    assert_eq!(volumes(), "one_old\n");
    let third = site.push(&with("prune-volumes: true", "new", runs));
    site.until(&third, "succeeded");
    let gone = || (volumes() == "one_new\n").then_some(());
    until("the volume that left is gone", gone, volumes);

    let fourth = site.push(&with("rollback: false", "new", "exit 3"));
    let failed = site.until(&fourth, "failed");
    assert!(failed["reason"].as_str().unwrap().contains("exited (3)"), "{failed}");
    let row = host.status("one").unwrap();
    assert!(row["notes"].to_string().contains("it stays, by `rollback: false`"), "{row}");
    assert!(fourth.starts_with(row["revision"].as_str().unwrap()), "{row}");
    assert_eq!(row["health"], "Degraded", "{row}");
    let left = host.container("one-app-1").unwrap();
    assert_eq!((&left["state"], &left["exit_code"]), (&"exited".into(), &3.into()), "{left}");
    let fifth = site.push(&with("rollback: false", "new", runs));
    site.until(&fifth, "succeeded");
    // A stack that leaves the source, and one of the same policy that stays.
    site.repo.write("two/compose.yaml", &with("drift: heal", "", runs).replace("one", "two"));
    let sixth = site.push(&with("prune-volumes: true", "new", runs));
    host.until_ended("two", &sixth, "succeeded");
    fs::remove_dir_all(site.repo.tree.join("one")).unwrap();
    site.repo.push("one leaves");
    let gone = || (host.status("one").is_none() && volumes().is_empty()).then_some(());
    until("its data goes with it", gone, || format!("{}{}", volumes(), host.overview()));
    site.end(serve);
    host.keel(&["down", "two"]).ok();
    host.finish();
}
