//! Which files make a stack: several of them, as docker compose merges them; and what they would
//! change.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Host;

const BASE: &str = "services:
  web:
    image: busybox:1
    init: true
    command: sleep 1000000
    environment: { FROM: base, TAG: '${TAG:-none}' }
  debug:
    image: busybox:1
    init: true
    command: sleep 1000000
    profiles: [debug]
";

const PROD: &str = "services:
  web:
    environment: { FROM: prod }
  extra:
    image: busybox:1
    init: true
    command: sleep 1000000
";

fn names(host: &Host) -> Vec<String> {
    let mut names: Vec<_> =
        host.ps().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn variable(host: &Host, container: &str, name: &str) -> String {
    let echo = format!("echo ${name}");
    host.keel(&["exec", container, "sh", "-c", &echo]).ok().stdout.trim_end().to_owned()
}

#[test]
fn several_files_make_one_stack() {
    let host = Host::new();
    host.write("shop/compose.yaml", BASE);
    host.write("shop/prod.yaml", PROD);
    host.write("shop/prod.env", "TAG=blue\n");
    let here = host.path("shop");
    let files = ["-f", "compose.yaml", "-f", "prod.yaml", "--env-file", "prod.env"];
    let with =
        |first: &[&str], last: &[&str]| host.keel_in(&here, &[first, &files[..], last].concat());

    let plan = with(&["plan", "--format", "json"], &[]);
    assert_eq!((plan.code, plan.json()["stacks"][0]["stack"].as_str()), (2, Some("shop")));
    assert!(plan.stdout.contains("extra.1"), "{}", plan.stdout);

    // Behind the command and before it; what is left are services.
    with(&["up", "-d"], &["web"]).ok();
    assert_eq!(names(&host), ["shop-web-1"]);
    assert_eq!(variable(&host, "shop-web-1", "FROM"), "prod");
    assert_eq!(variable(&host, "shop-web-1", "TAG"), "blue");
    with(&[], &["up", "-d"]).ok();
    assert_eq!(names(&host), ["shop-extra-1", "shop-web-1"]);
    with(&["apply", "--profile", "debug"], &[]).ok();
    assert_eq!(names(&host), ["shop-debug-1", "shop-extra-1", "shop-web-1"]);
    with(&["--profile", "debug"], &["apply"]).ok();
    assert_eq!(with(&["--profile", "*"], &["plan"]).code, 0, "nothing is left to be done");
    let logs = with(&[], &["logs", "web"]);
    assert_eq!((logs.code, logs.stderr.as_str()), (0, ""));
    with(&["down"], &[]).ok();
    assert_eq!(names(&host), [] as [&str; 0]);
    host.finish();
}

#[test]
fn a_stack_can_be_given_another_name() {
    let host = Host::new();
    host.write("shop/compose.yaml", BASE);
    host.keel(&["up", "-d", "-p", "second", "./shop"]).ok();
    host.keel(&["-f", "shop/compose.yaml", "up", "-d"]).ok();
    assert_eq!(names(&host), ["second-web-1", "shop-web-1"]);
    host.keel(&["-p", "second", "down"]).ok();
    host.keel(&["down", "-f", "shop/compose.yaml"]).ok();
    assert_eq!(names(&host), [] as [&str; 0]);
    let script = format!("{} -f - -p piped up -d < shop/compose.yaml", env!("CARGO_BIN_EXE_keel"));
    host.sh(&script);
    assert_eq!(names(&host), ["piped-web-1"]);
    host.keel(&["down", "piped"]).ok();
    host.finish();
}

#[test]
fn what_makes_no_sense_beside_files_is_said() {
    let host = Host::bare();
    host.write("shop/compose.yaml", BASE);
    let cases: [(&[&str], &str); 5] = [
        (&["plan", "-f", "shop/compose.yaml", "./shop"], "and `-f` both name files"),
        (&["check", "-f", "shop/compose.yaml", "shop"], "and `-f` both name files"),
        (&["render", "-f", "shop/compose.yaml", "shop"], "and `-f` both name files"),
        (&["apply", "-p", "other", "shop"], "a path has a `/` or `.`: `./shop`"),
        (&["-f", "shop/compose.yaml", "ps"], "reads no Compose files"),
    ];
    for (words, said) in cases {
        let called = host.keel(words);
        assert!(called.code == 64 && called.stderr.contains(said), "{words:?}: {called:?}");
    }
    let missing = host.keel(&["check", "-f", "nowhere.yaml"]);
    assert!(
        missing.code == 1 && missing.stderr.contains("cannot read `nowhere.yaml`"),
        "{missing:?}"
    );
    host.finish();
}

#[test]
fn a_diff_says_what_the_files_would_change() {
    let host = Host::new();
    host.write("shop/compose.yaml", BASE);
    host.write("shop/prod.yaml", PROD);
    let new = host.keel(&["render", "--diff", "./shop"]);
    assert_eq!(new.code, 2);
    assert!(new.stdout.starts_with("--- /dev/null\n+++ shop, "), "{}", new.stdout);
    host.keel(&["up", "-d", "./shop"]).ok();
    let same = host.keel(&["render", "--diff", "./shop"]).ok();
    assert_eq!(same.stdout, "");

    host.write("shop/compose.yaml", &format!("# a comment\n{BASE}"));
    host.keel(&["render", "--diff", "./shop"]).ok();
    let diff = ["render", "--diff", "-f", "shop/compose.yaml", "-f", "shop/prod.yaml"];
    let changed = host.keel(&diff);
    assert_eq!(changed.code, 2);
    let lines: Vec<_> = changed.stdout.lines().collect();
    assert!(
        lines[0].starts_with("--- shop at ") && lines[1].starts_with("+++ shop, "),
        "{lines:?}"
    );
    for line in ["-services.web.environment.FROM: base", "+services.web.environment.FROM: prod"] {
        assert!(lines.contains(&line), "{}", changed.stdout);
    }
    assert!(lines.contains(&"+services.extra.image: busybox:1"), "{}", changed.stdout);
    assert!(!changed.stdout.contains("web.image"), "what is equal is left out");
    let data = host.keel(&[&diff[..], &["--format", "json"]].concat());
    assert_eq!(data.code, 2);
    let all = data.json();
    let found = all["differences"].as_array().unwrap();
    let web = found.iter().find(|one| one["path"] == "services.web.environment.FROM").unwrap();
    assert_eq!((&web["from"], &web["to"]), (&"base".into(), &"prod".into()));
    host.keel(&["down", "shop"]).ok();
    host.finish();
}

#[test]
fn services_of_the_current_folder_go_by_their_names() {
    let host = Host::new();
    host.write("shop/compose.yaml", BASE);
    host.write("other/compose.yaml", BASE);
    let here = host.path("shop");
    host.keel_in(&here, &["up", "--wait", "--remove-orphans"]).ok();
    let from = |words: &[&str]| host.keel_in(&here, words);
    assert_eq!(from(&["exec", "web", "sh", "-c", "echo $FROM"]).ok().stdout, "base\n");
    assert_eq!(from(&["stop", "-t", "0", "web"]).ok().stdout, "shop-web-1\n");
    assert_eq!(from(&["restart", "web"]).ok().stdout, "shop-web-1\n");
    assert_eq!(from(&["logs", "web"]).ok().stderr, "");
    // Elsewhere the stack has to be said.
    let elsewhere = host.keel_in(&host.path("other"), &["logs", "web"]);
    assert!(elsewhere.code == 1 && elsewhere.stderr.contains("no such container: web"));
    assert_eq!(host.keel(&["-p", "shop", "kill", "web"]).ok().stdout, "shop-web-1\n");
    host.keel(&["-f", "shop/compose.yaml", "rm", "-f", "web"]).ok();
    assert_eq!(names(&host), [] as [&str; 0]);
    host.keel(&["down", "shop"]).ok();
    host.finish();
}

#[test]
fn slips_are_answered_with_what_was_meant() {
    let host = Host::new();
    host.write("shop/compose.yaml", BASE);
    for command in ["plan", "apply", "up", "down"] {
        let slip = host.keel(&[command, "shop"]);
        let said = &slip.stderr;
        assert!(slip.code == 1 && said.contains("no such stack: shop"), "{command}: {slip:?}");
        assert!(said.contains("hint: `./shop` names the files here"), "{command}: {slip:?}");
    }
    let missing = host.keel(&["ps", "nowhere"]);
    assert!(missing.code == 1 && missing.stderr.contains("no such stack: nowhere"), "{missing:?}");
    host.keel(&["up", "-d", "./shop"]).ok();
    let volume = host.keel(&["volume", "inspect", "nothing"]);
    assert!(volume.code == 1 && volume.stderr.contains("no such volume: nothing"), "{volume:?}");
    let network = host.keel(&["network", "inspect", "shop_default"]).ok().json();
    assert_eq!(network["Name"], "shop_default");
    host.keel(&["down", "shop"]).ok();
    host.finish();
}
