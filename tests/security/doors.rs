//! Every door that starts a program in a container: holes are fixed at one and stay open at another.

use super::bench::{Bench, done, service};
use super::support::until;
use serde_json::{Value, json};

/// The name of a door, and what the program said that went through it.
pub type Said = Vec<(&'static str, String)>;

/// Lets a program run through each door: `run`, `run -t`, `run --init`, start, start with a terminal
/// or an init, restart by policy and by a person, health check, `exec`, `exec -t`. `keys` and `flags` say the same of
/// the container, as Compose and the command line have it.
#[track_caller]
pub fn every(bench: &Bench, keys: Value, flags: &[&str], command: &[&str]) -> Said {
    let mut all: Said = vec![];
    for (door, more) in [("run", &[][..]), ("run -t", &["-t"]), ("run --init", &["--init"])] {
        all.push((door, bench.run(&[more, flags].concat(), command).ok().stdout));
    }
    bench.up("doors", &stack(keys, &quoted(command))).ok();
    for (door, name) in
        [("start", "doors-plain-1"), ("tty", "doors-tty-1"), ("init", "doors-init-1")]
    {
        all.push((door, bench.until_said(name, "done ")));
    }
    let was_there = || {
        let called = bench.exec(&[], "doors-anew-1", &["test", "-e", "/tmp/start"]);
        (called.code == 0).then_some(())
    };
    until("its first run said all", was_there, || bench.overview());
    bench.keel(&["restart", "doors-anew-1"]).ok();
    for (door, name, file) in [
        ("restart", "doors-twice-1", "/tmp/restart"),
        ("restart by a person", "doors-anew-1", "/tmp/restart"),
        ("health", "doors-twice-1", "/tmp/health"),
    ] {
        let read = || {
            let called = bench.exec(&[], name, &["cat", file]);
            (called.code == 0 && called.stdout.contains("done ")).then_some(called.stdout)
        };
        all.push((door, until(door, read, || bench.overview())));
    }
    all.push(("exec", bench.exec(&[], "doors-plain-1", command).ok().stdout));
    all.push(("exec -t", bench.exec(&["-t"], "doors-plain-1", command).ok().stdout));
    for (door, said) in &all {
        assert!(!said.is_empty(), "{door} said nothing");
        done(said, command);
    }
    bench.keel(&["down", "-v", "doors"]).ok();
    all
}

fn stack(keys: Value, line: &str) -> Value {
    let stays = |more: Value| {
        let mut all = service(keys.clone());
        all["command"] = json!(["sh", "-c", escaped(&format!("{line}; exec sleep 1000000"))]);
        for (key, value) in more.as_object().unwrap() {
            all[key] = value.clone();
        }
        all
    };
    let counts =
        format!("f=/tmp/start; test -e $f && f=/tmp/restart; {line} >$f.new 2>&1; mv $f.new $f");
    let twice = format!("{counts}; test $f = /tmp/restart && exec sleep 1000000");
    let anew = format!("{counts}; exec sleep 1000000");
    let check = format!("test -e /tmp/health || {{ {line} >/tmp/h 2>&1; mv /tmp/h /tmp/health; }}");
    let health = json!({ "test": ["CMD", "sh", "-c", escaped(&check)], "interval": "200ms" });
    json!({ "services": {
        "plain": stays(json!({})),
        "tty": stays(json!({ "tty": true })),
        "init": stays(json!({ "init": true })),
        "anew": stays(json!({ "command": ["sh", "-c", escaped(&anew)] })),
        "twice": stays(json!({
            "command": ["sh", "-c", escaped(&twice)], "restart": "always", "healthcheck": health,
        })),
    } })
}

/// Compose replaces what follows a dollar.
fn escaped(line: &str) -> String {
    line.replace('$', "$$")
}

fn quoted(command: &[&str]) -> String {
    let words = command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    words.collect::<Vec<_>>().join(" ")
}
