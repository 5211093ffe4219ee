//! The commands that fingers know, with and without a controller.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Host, until};

const STACK: &str = "services:
  app:
    image: busybox:1
    init: true
    command: [sh, -c, 'echo out; echo err >&2; exec sleep 1000000']
    environment: { COLOUR: blue }
    volumes: [data:/data]
    networks: { default: { aliases: [application] } }
  peer:
    image: busybox:1
    init: true
    command: sleep 1000000
volumes:
  data:
";

fn state(host: &Host, name: &str) -> String {
    host.container(name).map_or("absent".into(), |row| row["state"].as_str().unwrap().to_owned())
}

/// Everything that a person does with containers, the same whoever answers.
fn day_with_containers(host: &Host) {
    let listing = host.keel(&["ps"]).ok().stdout;
    let heading = listing.lines().next().unwrap();
    for column in ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"] {
        assert!(heading.contains(column), "{heading}");
    }
    let logs = host.keel(&["logs", "work-app-1"]).ok();
    assert_eq!((logs.stdout.as_str(), logs.stderr.contains("err")), ("out\n", true), "{logs:?}");
    let tail = host.keel(&["logs", "-t", "--tail", "1", "work-app-1"]).ok();
    let both = format!("{}{}", tail.stdout, tail.stderr);
    assert_eq!(both.lines().count(), 1, "{both}");
    assert!(both.starts_with("20"), "a time in front: {both}");

    // In its folder, a service goes by its name alone.
    let home = |arguments: &[&str]| host.keel_in(&host.path("work"), arguments);
    assert_eq!(home(&["exec", "app", "sh", "-c", "echo $COLOUR"]).ok().stdout, "blue\n");
    assert_eq!(home(&["logs", "app"]).ok().stdout, "out\n");
    assert_eq!(home(&["restart", "peer"]).ok().stdout, "work-peer-1\n");
    assert_eq!(host.keel(&["exec", "app", "true"]).code, 125, "elsewhere it does not");

    let exec = |arguments: &[&str]| host.keel(&[&["exec"], arguments].concat());
    assert_eq!(
        exec(&["work-app-1", "sh", "-c", "echo $COLOUR; hostname"]).ok().stdout.lines().next(),
        Some("blue")
    );
    assert_eq!(exec(&["work-app-1", "sh", "-c", "exit 7"]).code, 7);
    let own = exec(&["-t", "work-app-1", "sh", "-c", "tty; echo to >/dev/tty"]).ok().stdout;
    assert_eq!(own, "/dev/pts/0\r\nto\r\n", "the terminal is the container's own");
    assert_eq!(exec(&["-t", "work-app-1", "no-such-program"]).code, 127);
    assert_eq!(exec(&["work-app-1", "no-such-program"]).code, 127);
    assert_eq!(
        exec(&[
            "-u",
            "1000",
            "-w",
            "/tmp",
            "-e",
            "A=b",
            "work-app-1",
            "sh",
            "-c",
            "id -u; pwd; echo $A"
        ])
        .ok()
        .stdout,
        "1000\n/tmp\nb\n"
    );
    assert_eq!(
        exec(&["work-peer-1", "ping", "-c", "1", "-W", "5", "application"]).code,
        0,
        "an alias"
    );

    assert_eq!(host.keel(&["stop", "work-app-1"]).ok().stdout, "work-app-1\n");
    assert_eq!(state(host, "work-app-1"), "exited");
    assert!(!host.keel(&["ps"]).ok().stdout.contains("work-app-1"), "ps shows what runs");
    host.keel(&["start", "work-app-1"]).ok();
    assert_eq!(state(host, "work-app-1"), "running");
    let pid = host.container("work-app-1").unwrap()["pid"].clone();
    host.keel(&["restart", "-t", "1", "work/app"]).ok();
    assert_ne!(host.container("work-app-1").unwrap()["pid"], pid);
    host.keel(&["kill", "work-app-1"]).ok();
    assert_eq!(state(host, "work-app-1"), "exited");
    assert_ne!(host.keel(&["rm", "work-peer-1"]).code, 0, "a running one needs -f");
    host.keel(&["rm", "work-app-1"]).ok();
    assert_eq!(state(host, "work-app-1"), "absent");
    host.keel(&["start", "work/app"]);

    let id = host.container("work-peer-1").unwrap()["id"].as_str().unwrap().to_owned();
    let inspected = host.keel(&["inspect", &id[..8]]).ok().json();
    assert!(inspected.to_string().contains("work-peer-1"), "{inspected:#}");
    let missing = host.keel(&["inspect", "nobody"]);
    assert!(missing.code == 1 && missing.stderr.contains("nobody"), "{missing:?}");
}

#[test]
fn without_a_controller() {
    let host = Host::new();
    host.write("work/compose.yaml", STACK);
    let folder = host.path("work");
    host.keel_in(&folder, &["up", "-d"]).ok();
    day_with_containers(&host);
    host.keel_in(&folder, &["down", "-v"]).ok();
    assert_eq!(host.ps(), [] as [serde_json::Value; 0]);
    host.finish();
}

#[test]
fn with_a_controller() {
    let host = Host::new();
    host.write("work/compose.yaml", STACK);
    let serve = host.serve(&["work"]);
    host.until_well("work-app-1");
    host.until_well("work-peer-1");
    day_with_containers(&host);
    host.keel(&["down", "-v", "work"]).ok();
    assert_eq!(host.ps(), [] as [serde_json::Value; 0], "{}", serve.said());
    let suspended = || host.status("work").filter(|row| row["health"] == "Suspended");
    until("down under serve suspends, visibly", suspended, || host.overview());
    drop(serve);
    host.finish();
}

#[test]
fn one_offs_run_and_hand_back_their_code() {
    let host = Host::new();
    let run = |arguments: &[&str]| host.keel(&[&["run", "--rm"], arguments].concat());
    assert_eq!(run(&["busybox:1", "echo", "hello"]).ok().stdout, "hello\n");
    assert_eq!(run(&["busybox:1", "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(run(&["busybox:1", "no-such-program"]).code, 127);
    assert_eq!(run(&["busybox:1", "/etc/passwd"]).code, 126);
    // As docker has it: what is below 125 is the container's.
    for own in [
        &["run", "--no-such-flag", "busybox:1"][..],
        &["run", "-p", "x", "busybox:1"],
        &["run", "--name", "a b", "busybox:1"],
        &["exec"],
    ] {
        assert_eq!(host.keel(own).code, 125, "{own:?}");
    }
    let subnet = host.keel(&["network", "create", "--subnet", "10.5", "lan"]);
    assert!(subnet.code == 64 && subnet.stderr.contains("10.5.0.0/16"), "{subnet:?}");
    for (driver, said) in [
        ("macvlan", "this node has no driver `macvlan` for network `lan`, only `bridge`"),
        ("host", "driver `host` makes no network `lan`: it is what `network_mode: host` has"),
    ] {
        let refused = host.keel(&["network", "create", "--driver", driver, "lan"]);
        assert!(refused.code != 0 && refused.stderr.contains(said), "{refused:?}");
    }
    host.keel(&["network", "create", "--driver", "default", "--subnet", "10.77.1.9/24", "lan"])
        .ok();
    let lan = &host.keel(&["network", "ls", "--format", "json"]).ok().json()[0];
    let shown = ["driver", "subnet", "gateway"].map(|key| lan[key].as_str().unwrap());
    assert_eq!(shown, ["bridge", "10.77.1.0/24", "10.77.1.1"]);
    host.keel(&["network", "rm", "lan"]).ok();
    let missing = run(&["no-such-image:1", "true"]);
    assert!(missing.code == 125 && missing.stderr.contains("no-such-image"), "{missing:?}");
    let mut child = host
        .command(env!("CARGO_BIN_EXE_keel"))
        .args(["run", "--rm", "-i", "busybox:1", "cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through\n");
    host.keel(&["run", "-d", "--rm", "--name", "brief", "busybox:1", "sleep", "0.2"]).ok();
    let networks = || host.keel(&["network", "ls", "--format", "json"]).ok().json();
    let gone = || (networks().as_array().unwrap().is_empty() && host.ps().is_empty()).then_some(());
    until("it goes with its network, though nobody waits", gone, || networks().to_string());
    host.keel(&["run", "-d", "--name", "kept", "busybox:1", "sh", "-c", "echo done"]).ok();
    until("it ends", || (state(&host, "kept") == "exited").then_some(()), || host.overview());
    assert_eq!(host.keel(&["logs", "kept"]).ok().stdout, "done\n");
    host.keel(&["rm", "kept"]).ok();
    assert_eq!(host.ps(), [] as [serde_json::Value; 0]);
    host.finish();
}

#[test]
fn a_command_waits_for_anothers_lock_and_says_for_whom() {
    let host = Host::new();
    // A registry that accepts and never answers.
    let silent = "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 5999))\n\
                  s.listen()\nprint('up', flush=True)\ntime.sleep(1000)";
    let mut registry = host
        .command("/usr/bin/python3")
        .args(["-c", silent])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 2];
    std::io::Read::read_exact(registry.stdout.as_mut().unwrap(), &mut up).unwrap();
    let mut pull = host
        .command(env!("CARGO_BIN_EXE_keel"))
        .args(["pull", "127.0.0.1:5999/slow:1"])
        .spawn()
        .unwrap();
    let lock = host.root().join("lock");
    let held = || std::fs::read_to_string(&lock).ok().filter(|who| who.contains("keel pull"));
    until("the pull drives", held, String::new);
    // Beginning was a turn of its own; this is that of the pull.
    let asks = || {
        let open = host.sh("ss -Htn state established dport = :5999");
        (!open.is_empty()).then_some(())
    };
    until("the registry is asked", asks, String::new);
    let mut waiting = host
        .command(env!("CARGO_BIN_EXE_keel"))
        .args(["volume", "create", "mine"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let stderr = waiting.stderr.take().unwrap();
    let mut stderr = std::io::BufReader::new(stderr);
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    assert!(said.contains("waiting for `keel pull"), "{said}");
    host.keel(&["ps"]).ok(); // Readers wait for nobody.
    for child in [&mut pull, &mut registry] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
    assert!(waiting.wait().unwrap().success(), "{said}");
    host.keel(&["volume", "rm", "mine"]).ok();
    host.finish();
}

#[test]
fn a_terminal_is_one() {
    let host = Host::new();
    let script = format!(
        "script -qec '{} run --rm -it busybox:1 sh -c \"test -t 0 && test -t 1 && stty size && echo is a tty\"' /dev/null",
        env!("CARGO_BIN_EXE_keel")
    );
    let said = host.sh(&format!("stty rows 30 cols 100 2>/dev/null; {script}"));
    assert!(said.contains("is a tty"), "{said}");
    host.finish();
}

#[test]
fn images_networks_and_volumes_come_and_go() {
    let host = Host::new();
    host.keel(&["pull", "busybox:1"]).ok();
    let images = host.keel(&["images"]).ok().stdout;
    for part in ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "busybox"] {
        assert!(images.contains(part), "{part}: {images}");
    }
    assert!(host.keel(&["images", "--format", "json"]).ok().json().as_array().unwrap().len() == 1);
    host.keel(&["rmi", "busybox:1"]).ok();
    assert_eq!(host.keel(&["images", "-q"]).ok().stdout, "");
    assert_eq!(host.keel(&["volume", "create", "mine"]).ok().stdout, "mine\n");
    assert!(host.keel(&["volume", "ls"]).ok().stdout.contains("mine"));
    assert!(!host.keel(&["network", "create", "lan"]).ok().stdout.trim().is_empty());
    assert!(host.keel(&["network", "ls"]).ok().stdout.contains("lan"));
    host.keel(&[
        "run",
        "-d",
        "--name",
        "user",
        "--network",
        "lan",
        "-v",
        "mine:/mine",
        "busybox:1",
        "sleep",
        "1000000",
    ])
    .ok();
    let busy = host.keel(&["volume", "rm", "mine"]);
    assert!(busy.code == 1 && busy.stderr.contains("user"), "in use, and by whom: {busy:?}");
    host.keel(&["rm", "-f", "user"]).ok();
    host.keel(&["network", "rm", "lan"]).ok();
    host.keel(&["volume", "rm", "mine"]).ok();
    assert_eq!(host.keel(&["volume", "ls", "-q"]).ok().stdout, "");
    host.finish();
}

#[test]
fn plan_and_check_tell_without_touching() {
    let host = Host::new();
    host.write("work/compose.yaml", STACK);
    let folder = host.path("work");
    let check = host.keel_in(&folder, &["check"]).ok();
    assert_eq!((&*check.stdout, &*check.stderr), ("work: no problems\n", ""), "{check:?}");
    let plan = host.keel_in(&folder, &["plan", "--format", "json"]);
    assert_eq!(plan.code, 2, "there are differences: {plan:?}");
    assert_eq!(
        plan.stdout,
        host.keel_in(&folder, &["plan", "--format", "json"]).stdout,
        "byte for byte"
    );
    assert_eq!(host.ps(), [] as [serde_json::Value; 0]);
    host.keel_in(&folder, &["apply"]).ok();
    let again = host.keel_in(&folder, &["plan"]);
    assert_eq!(again.code, 0, "nothing to do: {again:?}");
    host.write("work/compose.yaml", &STACK.replace("COLOUR: blue", "COLOUR: red"));
    let plan = host.keel_in(&folder, &["plan"]);
    assert_eq!(plan.code, 2);
    assert!(
        plan.stdout.contains("app.1")
            && plan.stdout.contains("replace")
            && plan.stdout.contains("environment"),
        "{}",
        plan.stdout
    );
    assert!(!plan.stdout.contains("peer.1    replace"), "{}", plan.stdout);
    host.write(
        "work/compose.yaml",
        "services:\n  app:\n    image: busybox:1\n    comand: x\n    build: .\n",
    );
    let check = host.keel_in(&folder, &["check"]);
    assert_eq!(check.code, 1);
    assert!(
        check.stderr.contains("compose.yaml:4:5")
            && check.stderr.contains("did you mean `command`?"),
        "{}",
        check.stderr
    );
    assert_ne!(host.keel_in(&folder, &["up", "-d"]).code, 0);
    assert_eq!(state(&host, "work-app-1"), "running", "a bad file touches nothing");
    assert_eq!(host.keel(&["no-such-command"]).code, 64);
    host.keel(&["down", "-v", "work"]).ok();
    host.finish();
}

#[test]
fn real_time_signals_reach_the_process_through_an_init() {
    let host = Host::new();
    let script = "trap 'echo got it; exit 5' 37; echo up; while :; do sleep 0.1; done";
    host.keel(&["run", "-d", "--name", "box", "--init", "busybox", "sh", "-c", script]).ok();
    let says = |text: &str| {
        let said = || host.keel(&["logs", "box"]).stdout.contains(text).then_some(());
        support::until(&format!("it says `{text}`"), said, || host.overview());
    };
    says("up");
    let wrong = host.keel(&["kill", "-s", "RTMIN+77", "box"]);
    assert!(wrong.stderr.contains("`RTMIN+77` is not a signal"), "{}", wrong.stderr);
    host.keel(&["kill", "-s", "RTMIN+3", "box"]).ok();
    says("got it");
    let ended = || host.container("box").filter(|row| row["exit_code"] == 5).map(drop);
    support::until("it ends as its program did", ended, || host.overview());
    host.keel(&["rm", "-f", "box"]).ok();
    host.finish();
}
