//! Starting and entering: leaked descriptors as working folders and programs, keel's own file,
//! helpers that are visible inside.

use super::bench::{Bench, done, ends, service};
use super::support::until;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The ways by which descriptor N can be named, {} standing for N.
const FORMS: [&str; 4] =
    ["/proc/self/fd/{}", "/proc/1/fd/{}", "/proc/thread-self/fd/{}", "/dev/fd/{}"];

/// Somewhere inside, by the kernel's own word, and no way up from there to the host's file.
#[track_caller]
fn inside(place: &str, said: &str) {
    for line in said.lines().filter(|line| line.starts_with("getcwd") || line.starts_with("link")) {
        let folder = line.split_once(' ').unwrap().1.trim();
        assert!(folder.starts_with('/'), "{place}: {line}\n{said}");
        assert!(!folder.contains("/keel-"), "{place}: {line}\n{said}");
    }
    assert!(!said.contains("canary at depth"), "{place}:\n{said}");
}

/// Where a leaked folder would be: each descriptor, deeper by turns, by each name.
fn places() -> Vec<String> {
    let numbers = 3..=24_usize;
    let place = |(at, number): (usize, usize)| {
        let form = FORMS[at % FORMS.len()].replace("{}", &number.to_string());
        format!("{form}{}", "/..".repeat(at % 9 / 2))
    };
    let mut all: Vec<_> = numbers.clone().map(|n| format!("/proc/self/fd/{n}")).collect();
    all.extend(numbers.enumerate().map(place));
    all
}

#[test]
fn exec_enters_no_leaked_folder() {
    let bench = Bench::new();
    let layer = bench.path("layer");
    fs::create_dir_all(&layer).unwrap();
    for number in 3..=12 {
        symlink(format!("/proc/self/fd/{number}"), layer.join(format!("to-{number}"))).unwrap();
    }
    let image = bench.image(&json!({}), Some(&layer));
    bench
        .keel(&["run", "-d", "--name", "box", "-v", "kept:/volume", &image, "sleep", "1000000"])
        .ok();
    let links = "for n in 3 4 5 6 7 8 9; do ln -s /proc/self/fd/$n /volume/to-$n; done";
    bench.exec(&[], "box", &["sh", "-c", links]).ok();
    let canary = bench.witness.secret_file().display().to_string();
    let mut places = places();
    places.extend((3..=12).map(|n| format!("/to-{n}")));
    places.extend((3..=9).map(|n| format!("/volume/to-{n}/..")));
    let tried = places.len();
    let mut refused = 0;
    for place in places {
        let called = bench.exec(&["-w", &place], "box", &["prober", "cwd", &canary]);
        if called.code == 0 {
            done(&called.stdout, &["prober", "cwd"]);
            inside(&place, &called.stdout);
        } else {
            assert!(called.stderr.contains("enter folder"), "{place}: {called:?}");
            refused += 1;
        }
    }
    assert!(refused > tried / 2, "{refused} of {tried} were refused");
    bench.keel(&["rm", "-f", "-v", "box"]).ok();
    bench.keel(&["volume", "rm", "kept"]).ok();
    bench.finish(&[]);
}

/// One stack has a service for each place; what starts at all says where it is. A way up after the
/// descriptor matters: who drops `..` from a text before it looks has looked at another folder.
#[test]
fn start_enters_no_leaked_folder() {
    let bench = Bench::new();
    let canary = bench.witness.secret_file().display().to_string();
    let mut services = json!({});
    let mut starts = |name: String, keys: Value| {
        services[name] = service(keys);
    };
    let command = json!(["prober", "cwd", canary]);
    for number in 3..=14 {
        let place = FORMS[number % FORMS.len()].replace("{}", &number.to_string());
        let place = place + &"/..".repeat(1 + number % 3);
        starts(format!("own{number}"), json!({ "working_dir": place, "command": command }));
        let up = format!("/proc/self/fd/{number}/..");
        starts(format!("up{number}"), json!({ "working_dir": up, "command": command }));
    }
    let layer = bench.path("layer");
    fs::create_dir_all(&layer).unwrap();
    symlink("/proc/self/fd/5", layer.join("link")).unwrap();
    for folder in ["/link", "/link/./"] {
        let image = bench.image(&json!({ "WorkingDir": folder }), Some(&layer));
        let name = format!("image{}", folder.len());
        starts(name, json!({ "image": image, "command": command, "tty": true }));
    }
    // A way up is no image's: none is even pulled.
    for folder in ["/proc/self/fd/5/..", "/link/.."] {
        let image = bench.image(&json!({ "WorkingDir": folder }), Some(&layer));
        let called = bench.keel(&["run", "--rm", &image, "prober", "cwd", &canary]);
        let refused = format!("WorkingDir has the path `{folder}`, which holds `..`");
        assert!(called.code == 125 && called.stderr.contains(&refused), "{called:?}");
    }
    for (name, said) in ends(&bench, "places", json!({ "services": services })) {
        inside(&name, &said);
    }
    bench.finish(&["places"]);
}

/// The host's program, by way of descriptor N.
fn program_by(bench: &Bench, number: usize) -> String {
    format!("/proc/self/fd/{number}{}{}", "/..".repeat(9), bench.witness.program().display())
}

#[test]
fn no_program_of_the_host_is_executed() {
    let bench = Bench::new();
    let layer = bench.path("layer");
    fs::create_dir_all(&layer).unwrap();
    let mut services = json!({});
    for number in 3..=12 {
        let program = program_by(&bench, number);
        script(&layer.join(format!("script{number}")), &program);
        let folder = program.trim_end_matches("/program");
        services[format!("own{number}")] = service(json!({ "entrypoint": [program] }));
        services[format!("path{number}")] =
            service(json!({ "entrypoint": ["program"], "environment": { "PATH": folder } }));
        services[format!("init{number}")] = service(json!({ "command": [program], "init": true }));
    }
    let config = json!({ "Entrypoint": ["/script5"], "Cmd": [] });
    let image = bench.image(&config, Some(&layer));
    for number in 3..=12 {
        let entrypoint = json!([format!("/script{number}")]);
        services[format!("script{number}")] =
            service(json!({ "image": image, "entrypoint": entrypoint }));
    }
    // What a container says is looked at by the bench: the host's program would be heard.
    let heard = ends(&bench, "places", json!({ "services": services }));
    assert_eq!(heard.len(), 40);
    bench.keel(&["down", "-v", "places"]).ok();
    bench.keel(&["run", "-d", "--name", "box", "--entrypoint", "sleep", &image, "1000000"]).ok();
    for number in 3..=10 {
        let called = bench.exec(&[], "box", &[&program_by(&bench, number)]);
        assert!([126, 127].contains(&called.code), "{called:?}");
        let called = bench.exec(&["-t"], "box", &[&format!("/script{number}")]);
        assert!([126, 127].contains(&called.code), "{called:?}");
    }
    bench.finish(&[]);
}

/// A script whose interpreter is this.
fn script(path: &Path, interpreter: &str) {
    fs::write(path, format!("#!{interpreter}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The check's program is entered by a shim, not by `exec`.
#[test]
fn health_checks_execute_no_program_of_the_host() {
    let bench = Bench::new();
    let mut services = json!({});
    for number in 3..=12 {
        let test = json!(["CMD", program_by(&bench, number)]);
        let check =
            json!({ "test": test, "interval": "200ms", "retries": 1, "start_period": "0s" });
        services[format!("checked{number}")] = service(
            json!({ "command": ["sleep", "1000000"], "healthcheck": check, "working_dir": "/tmp" }),
        );
    }
    bench.up("checks", &json!({ "services": services }));
    for number in 3..=12 {
        let name = format!("checks-checked{number}-1");
        let judged = || bench.container(&name).filter(|row| row["health"] != "starting");
        let row = until(&format!("{name} is judged"), judged, || bench.overview());
        assert_eq!(row["health"], "unhealthy", "{row}");
    }
    bench.finish(&["checks"]);
}
