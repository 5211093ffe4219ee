//! A source whose stacks may have little of the host: what they may not is refused at its line, to
//! whoever pushes and by whoever serves, and what ran before goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use support::{Called, Host, until};

const PLAIN: &str =
    "services:\n  app:\n    image: busybox:1\n    init: true\n    command: sleep 1000000\n";

/// What somebody who may push writes to get at the host: the word that it needs, the key, and whether
/// it stands in the service.
const WANTED: [(&str, &str, bool); 16] = [
    ("privileged", "privileged: true", true),
    ("privileged", "cgroup_parent: /", true),
    ("host-paths", "volumes: ['/:/host']", true),
    ("host-paths", "volumes: ['../../../../../../:/host']", true),
    ("host-paths", "env_file: CANARY", true),
    ("host-paths", "label_file: CANARY", true),
    ("host-paths", "extends: { file: CANARY, service: x }", true),
    ("host-paths", "include: [CANARY]", false),
    ("host-paths", "configs: { c: { file: CANARY } }", false),
    ("host-paths", "volumes: { v: { driver_opts: { type: none, o: bind, device: / } } }", false),
    ("host-paths", "volumes: { v: { external: true, name: other_kept } }", false),
    ("host-network", "network_mode: host", true),
    ("host-pid", "pid: host", true),
    ("devices", "devices: ['/dev/null:/dev/sda']", true),
    ("capabilities", "cap_add: [SYS_ADMIN]", true),
    ("security-opt", "security_opt: ['seccomp=unconfined']", true),
];

fn asking(host: &Host, key: &str, in_service: bool) -> String {
    let key = key.replace("CANARY", &host.path("canary").display().to_string());
    let indent = if in_service { "    " } else { "" };
    format!("{PLAIN}{indent}{key}\n")
}

/// The configuration of a repository of the host's own, whose stacks may have these.
fn configure(host: &Host, allow: &str) {
    let url = host.root().join("repos/home.git");
    host.write(
        "keel.yaml",
        &format!(
            "policy: {{ settle: 1s }}\nsources:\n  home:\n    git: {}\n    path: stacks/*\n    {allow}\n\
             registries:\n  docker.io: {{ mirrors: [\"http://127.0.0.1:5000\"] }}\n",
            url.display()
        ),
    );
}

struct Work<'a> {
    host: &'a Host,
    tree: PathBuf,
}

impl Work<'_> {
    /// Writes the stack, and pushes it over whatever was there.
    fn push(&self, text: &str) -> Called {
        let tree = self.tree.display();
        self.host.write("work/stacks/app/compose.yaml", text);
        self.host.sh(&format!("cd {tree} && git add -A && git commit -q --allow-empty -m change"));
        let output = self
            .host
            .command("git")
            .args(["push", "-f", "origin", "main"])
            .current_dir(&self.tree)
            .output()
            .unwrap();
        Called {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn work(host: &Host) -> Work<'_> {
    host.keel(&["source", "create", "home", "--bare", "--path", "stacks/*"]).ok();
    let (tree, url) = (host.path("work"), host.root().join("repos/home.git"));
    host.sh(&format!(
        "git init -q -b main {tree} && cd {tree} && git remote add origin {url} && \
         git config user.name Ann && git config user.email ann@example.org",
        tree = tree.display(),
        url = url.display()
    ));
    Work { host, tree }
}

#[test]
fn whoever_pushes_is_refused_what_the_source_does_not_allow() {
    let host = Host::new();
    host.write("canary", "S3cretCanary: x\n");
    configure(&host, "allow: []");
    let work = work(&host);
    let serve = host.serve(&[]);
    let first = work.push(PLAIN);
    assert_eq!(first.code, 0, "{first:?}");
    let before = host.until_well("app-app-1");
    for (word, key, in_service) in WANTED {
        let refused = work.push(&asking(&host, key, in_service));
        let told = &refused.stderr;
        assert_ne!(refused.code, 0, "{key}: {told}");
        assert!(told.contains("compose.yaml:6:"), "{key}: {told}");
        assert!(told.contains(&format!("add `{word}` to `allow` of source home")), "{key}: {told}");
        assert!(!told.contains("S3cretCanary"), "{key}: {told}");
    }
    let after = host.container("app-app-1").unwrap();
    assert_eq!((&after["id"], &after["state"]), (&before["id"], &"running".into()));
    drop(serve);
    host.keel(&["down", "app"]).ok();
    host.finish();
}

#[test]
fn what_is_allowed_is_taken() {
    let host = Host::new();
    host.write("canary", "A=x\n");
    let work = work(&host);
    for (allow, taken) in
        [("allow: [capabilities, host-pid]", true), ("", true), ("allow: [devices]", false)]
    {
        configure(&host, allow);
        let pushed = work.push(&asking(&host, "cap_add: [SYS_ADMIN]", true));
        assert_eq!(pushed.code == 0, taken, "{allow}: {pushed:?}");
    }
    host.finish();
}

#[test]
fn who_serves_refuses_it_too_and_says_so() {
    let host = Host::new();
    host.write("stacks/app/compose.yaml", PLAIN);
    host.write("stacks/app/.env", "COMPOSE_FILE=compose.yaml\n");
    let folder = host.path("stacks").display().to_string();
    let configured = |allow: &str| {
        host.write(
            "keel.yaml",
            &format!(
                "sources:\n  here:\n    dir: {folder}\n    env: {{ GIVEN: given }}\n    {allow}\n\
                 registries:\n  docker.io: {{ mirrors: [\"http://127.0.0.1:5000\"] }}\n"
            ),
        )
    };
    configured("allow: []");
    host.keel(&["serve", "--check"]).ok();
    let serve = host.serve(&[]);
    let before = host.until_well("app-app-1");
    host.write("stacks/app/compose.yaml", &asking(&host, "privileged: true", true));
    let checked = host.keel(&["serve", "--check"]);
    assert!(checked.code == 1 && checked.stderr.contains("compose.yaml:6:17"), "{checked:?}");
    let words =
        "`privileged` of service `app` needs `privileged`, which source here does not allow";
    let told = || host.overview().contains(words).then_some(());
    until("status says so", told, || serve.said() + &host.overview());
    assert_eq!(host.container("app-app-1").unwrap()["id"], before["id"]);

    // A file of the host by way of the variables.
    host.write("canary", "services: {}\n");
    host.write("stacks/app/compose.yaml", PLAIN);
    let listed = format!("COMPOSE_FILE=compose.yaml:{}\n", host.path("canary").display());
    host.write("stacks/app/.env", &listed);
    let checked = host.keel(&["serve", "--check"]);
    assert!(checked.code == 1 && checked.stderr.contains(".env:1:"), "{checked:?}");
    host.write("stacks/app/.env", "");
    drop(serve);

    // Nor does it see what the controller's own environment holds.
    let mut host = host;
    host.environment.push(("TOKEN".to_owned(), "S3cretCanary".to_owned()));
    let text = "    environment: { SEEN: '${TOKEN:-nothing} ${GIVEN}' }\n";
    host.write("stacks/app/compose.yaml", &format!("{PLAIN}{text}"));
    let serve = host.serve(&[]);
    let seen = || {
        let called = host.keel(&["exec", "app-app-1", "env"]);
        called.stdout.contains("SEEN=nothing given").then_some(())
    };
    until("it sees what its source grants", seen, || serve.said() + &host.overview());
    drop(serve);
    host.keel(&["down", "app"]).ok();
    host.finish();
}

/// A stack is gone, and its volume is kept; whoever may push to another source takes its name.
#[test]
fn what_a_stack_left_behind_is_not_given_to_another_source() {
    let host = Host::new();
    let stack = |says: &str| {
        format!(
            "name: shop\nservices:\n  app:\n    image: busybox:1\n    init: true\n    \
             command: [sh, -c, '{says}; exec sleep 1000000']\n    volumes: ['kept:/d']\n\
             volumes: {{ kept: }}\n"
        )
    };
    let configured = |sources: &[(&str, &str)]| {
        let mut text =
            "registries:\n  docker.io: { mirrors: [\"http://127.0.0.1:5000\"] }\nsources:\n"
                .to_owned();
        for (name, allow) in sources {
            let folder = host.path(name).display().to_string();
            text += &format!("  {name}:\n    dir: {folder}\n    {allow}\n");
        }
        host.write("keel.yaml", &text)
    };
    host.write("first/shop/compose.yaml", &stack("echo S3cretCanary >/d/secret"));
    configured(&[("first", "")]);
    let serve = host.serve(&[]);
    host.until_well("shop-app-1");
    drop(serve);
    host.keel(&["down", "shop"]).ok();
    host.write("second/shop/compose.yaml", &stack("cat /d/secret"));
    configured(&[("second", "allow: []")]);
    let serve = host.serve(&[]);
    let told = || {
        let logged = host.keel(&["logs", "shop-app-1"]).stdout;
        assert!(!logged.contains("S3cretCanary"), "{logged}\n{}", host.overview());
        host.overview().contains("volume shop_kept").then_some(())
    };
    until("status says whose it is", told, || serve.said() + &host.overview());
    drop(serve);
    host.keel(&["down", "-v", "shop"]).ok();
    host.finish();
}
