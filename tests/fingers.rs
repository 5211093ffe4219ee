//! What fingers that know docker type.

mod support;

use std::path::Path;
use support::{Called, Host};

const SHOP: &str = "name: shop
services:
  web:
    image: busybox:1
    init: true
    command: sleep 1000000
    environment: { WORD: from-the-stack }
    depends_on: [db]
    ports: ['8080:80']
    volumes: ['kept:/kept']
  db: { image: 'busybox:1', init: true, command: sleep 1000000 }
  alone: { image: 'busybox:1', init: true, command: sleep 1000000, networks: [own] }
networks: { own: }
volumes: { kept: }
";

fn names(host: &Host) -> Vec<String> {
    let mut names: Vec<_> =
        host.ps().iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_word_is_a_service_where_docker_compose_has_it_so() {
    let host = Host::new();
    host.write("shop/compose.yaml", SHOP);
    let folder = host.path("shop");
    let here = |words: &[&str]| host.keel_in(&folder, words);

    // Nothing is there yet: what the service needs is made, and stays the stack's.
    let alone = here(&["run", "--rm", "alone", "sh", "-c", "hostname; ls /sys/class/net"]).ok();
    assert!(alone.stdout.contains("eth0"), "{alone:?}");
    here(&["run", "--rm", "web", "sh", "-c", "echo $WORD > /kept/word"]).ok();
    assert_eq!(names(&host), ["shop-db-1"], "what it depends on runs: {}", host.overview());
    here(&["up", "-d", "web"]).ok();
    assert_eq!(names(&host), ["shop-db-1", "shop-web-1"]);
    let kept = host.keel(&["exec", "shop/web", "cat", "/kept/word"]).ok();
    assert_eq!(kept.stdout.trim(), "from-the-stack");
    let beside = here(&[
        "run",
        "--rm",
        "-e",
        "WORD=mine",
        "--no-deps",
        "web",
        "sh",
        "-c",
        "echo $WORD; nslookup db",
    ]);
    assert!(beside.code == 0 && beside.stdout.starts_with("mine\n"), "{beside:?}");
    here(&["run", "-d", "--name", "own", "web"]).ok();
    assert_eq!(host.container("own").unwrap()["ports"], serde_json::json!([]));
    host.keel(&["rm", "-f", "own"]).ok();

    // From elsewhere, with the files named.
    let file = folder.join("compose.yaml");
    host.keel(&["-f", &file.to_string_lossy(), "up", "-d", "alone"]).ok();
    host.keel(&["up", "-f", &file.to_string_lossy(), "-d", "alone"]).ok();
    assert_eq!(names(&host), ["shop-alone-1", "shop-db-1", "shop-web-1"]);
    let run =
        host.keel(&["-f", &file.to_string_lossy(), "run", "--rm", "web", "sh", "-c", "echo $WORD"]);
    assert_eq!((run.code, run.stdout.trim()), (0, "from-the-stack"), "{run:?}");
    let none = host.keel(&["-f", &file.to_string_lossy(), "run", "--rm", "wev", "true"]);
    assert!(none.code == 125 && none.stderr.contains("it has alone, db, web"), "{none:?}");

    // Another stack that is called like a service here is meant as the stack.
    host.write(
        "db/compose.yaml",
        "services: {app: {image: 'busybox:1', init: true, command: sleep 1000000}}\n",
    );
    host.keel(&["up", "-d", "./db"]).ok();
    host.keel(&["stop", "-t", "1", "db"]).ok();
    here(&["up", "-d", "db"]).ok();
    assert_eq!(host.container("db-app-1").unwrap()["state"], "running");
    for stack in ["shop", "db"] {
        host.keel(&["down", "-v", stack]).ok();
    }
    host.finish();
}

#[test]
fn small_things_are_answered_as_docker_does() {
    let host = Host::new();
    host.keel(&["run", "-d", "-h", "box", "--name", "box", "busybox", "sleep", "1000"]).ok();
    let name = host.keel(&["exec", "box", "hostname"]).ok();
    assert_eq!(name.stdout.trim(), "box");
    for words in [&["exec", "-it", "box", "sh"][..], &["run", "--rm", "-it", "busybox", "sh"]] {
        let called = host.keel(words);
        assert_eq!(called.code, 125, "{called:?}");
        assert!(called.stderr.contains("the input device is not a TTY"), "{called:?}");
    }
    host.keel(&["exec", "-t", "box", "true"]).ok();
    host.keel(&["exec", "-i", "box", "cat"]).ok();
    let help = host.keel(&["run", "--help"]).ok();
    assert!(help.stdout.contains("-h, --hostname"), "{help:?}");

    let gone = host.keel(&["rmi", "-f", "nosuch"]).ok();
    assert!(gone.stderr.contains("no such image: nosuch") && gone.stdout.is_empty(), "{gone:?}");
    assert_eq!(host.keel(&["rmi", "nosuch"]).code, 1);
    let used = host.keel(&["rmi", "-f", "nosuch", "busybox"]);
    assert!(used.code == 1 && used.stderr.contains("in use"), "{used:?}");

    for kind in ["volume", "network"] {
        let gone = host.keel(&[kind, "rm", "-f", "nosuch"]).ok();
        assert!(gone.stderr.contains(&format!("no such {kind}: nosuch")), "{gone:?}");
    }

    let says = |called: Called, message: &str, hint: &str| {
        assert_eq!(called.code, 64, "{called:?}");
        assert!(called.stderr.contains(message) && called.stderr.contains(hint), "{called:?}");
    };
    says(host.keel(&["cp", "a", "b"]), "`keel cp` is not in this version", "hint: ");
    says(
        host.keel(&["stauts"]),
        "there is no command `keel stauts`",
        "did you mean `keel status`?",
    );
    says(host.keel(&["fly"]), "there is no command `keel fly`", "`keel --help` lists");
    says(host.keel(&["config"]), "there is no command `keel config`", "`keel render`");
    says(host.keel(&["network", "lss"]), "`keel network lss`", "did you mean `keel network ls`?");

    let lacks = host.keel(&["run", "--rm", "--network", "the-lan", "busybox", "true"]);
    assert!(lacks.stderr.contains("the-lan"), "{lacks:?}");
    host.write(
        "lan/compose.yaml",
        "services: {app: {image: 'busybox:1', command: 'true', networks: [l], volumes: ['v:/v']}}\n\
         networks: {l: {external: true, name: the-lan}}\nvolumes: {v: {external: true, name: the-vol}}\n",
    );
    let up = host.keel(&["up", "-d", "./lan"]);
    assert!(up.code == 1 && up.stderr.contains("`keel network create the-lan`"), "{up:?}");
    host.keel(&["network", "create", "the-lan"]).ok();
    let up = host.keel(&["up", "-d", "./lan"]);
    assert!(up.code == 1 && up.stderr.contains("`keel volume create the-vol`"), "{up:?}");
    host.keel(&["volume", "create", "the-vol"]).ok();
    host.keel(&["up", "-d", "./lan"]).ok();
    host.keel(&["down", "lan"]).ok();
    host.keel(&["network", "rm", "the-lan"]).ok();
    host.keel(&["volume", "rm", "the-vol"]).ok();
    host.keel(&["rm", "-f", "box"]).ok();
    host.finish();
}

/// What a command draws on a terminal of so many columns.
fn drawn(host: &Host, columns: u16, words: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/sized_terminal.py");
    let output = host
        .command("python3")
        .arg(script)
        .args([columns.to_string().as_str(), env!("CARGO_BIN_EXE_keel")])
        .args(words)
        .env("TERM", "xterm")
        .output()
        .expect("python3 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn progress_keeps_to_narrow_terminals() {
    let host = Host::new();
    let service = "{ image: 'busybox:1', init: true, command: sleep 1000000 }";
    host.write(
        "stack-with-a-long-name/compose.yaml",
        &format!("services:\n  first-with-a-rather-long-name: {service}\n  second-with-a-rather-long-name: {service}\n"),
    );
    for columns in [80, 60, 20] {
        let text = drawn(&host, columns, &["up", "-d", "./stack-with-a-long-name"]);
        let lines = text.split(['\n', '\r']).map(|line| line.replace("\u{1b}[K", ""));
        let lines: Vec<_> = lines
            .map(|line| {
                line.trim_start_matches(['\u{1b}', '[', '0', '1', '2', '3', '4', '5', 'A'])
                    .to_owned()
            })
            .collect();
        let longest =
            lines.iter().max_by_key(|line| line.chars().count()).cloned().unwrap_or_default();
        assert!(text.contains("\u{1b}["), "it is redrawn: {text:?}");
        assert!(
            longest.chars().count() < usize::from(columns),
            "{columns}: {longest:?} of {text:?}"
        );
        assert!(text.contains("Started") || text.contains("Running"), "{columns}: {text:?}");
        host.keel(&["down", "stack-with-a-long-name"]).ok();
    }
    host.finish();
}
