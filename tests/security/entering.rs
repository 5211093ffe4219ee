//! Starting and entering: leaked descriptors as working folders and programs, keel's own file,
//! helpers that are visible inside.

use super::bench::{Bench, IMAGE, done, service};
use super::doors;
use super::support::until;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

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
    bench.keel(&["run", "-d", "--name", "box", "-v", "kept:/volume", &image, "sleep", "1000000"]).ok();
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

/// One stack has a service for each place; what starts at all says where it is.
#[test]
fn start_enters_no_leaked_folder() {
    let bench = Bench::new();
    let canary = bench.witness.secret_file().display().to_string();
    let mut services = json!({});
    let mut starts = |name: String, keys: Value| {
        let mut service = service(keys);
        service["command"] = json!(["prober", "cwd", canary]);
        service["restart"] = json!("on-failure:1");
        services[name] = service;
    };
    for number in 3..=16 {
        let place = FORMS[number % FORMS.len()].replace("{}", &number.to_string());
        starts(format!("own{number}"), json!({ "working_dir": place }));
        let config = json!({ "WorkingDir": format!("/proc/self/fd/{number}/..") });
        if number < 10 {
            let image = bench.image(&config, None);
            starts(format!("image{number}"), json!({ "image": image }));
        }
    }
    let names: Vec<_> = services.as_object().unwrap().keys().cloned().collect();
    bench.up("places", &json!({ "services": services }));
    for name in names {
        let task = format!("places-{name}-1");
        let ended = || {
            let row = bench.container(&task)?;
            matches!(row["state"].as_str(), Some("exited" | "failed" | "dead")).then_some(row)
        };
        let row = until(&format!("{task} ends"), ended, || bench.overview());
        let said = bench.logs(&task);
        bench.witness.kept_from(&said);
        inside(&name, &said);
        assert_ne!(row["exit_code"], json!(0), "{name} started: {said}");
    }
    bench.finish(&["places"]);
}
