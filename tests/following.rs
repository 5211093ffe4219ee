//! `keel logs -f` while the controller comes and goes.

mod support;

use std::fs::File;
use std::process::Stdio;
use support::{Host, until};

const COUNTING: &str = "services:
  a:
    image: busybox:1
    init: true
    command: sh -c 'i=0; while :; do i=$$((i+1)); echo a $$i; echo again; sleep 0.02; done'
  b:
    image: busybox:1
    init: true
    command: sh -c 'i=0; while :; do i=$$((i+1)); printf \"b \"; sleep 0.01; echo $$i; sleep 0.1; done'
";

/// The numbers that a service counted, as far as they were printed.
fn counted(text: &str, service: &str) -> Vec<u32> {
    let word = format!("{service} ");
    let lines = text.lines().filter_map(|line| {
        let line = line.rsplit("| ").next()?;
        line.strip_prefix(&word)?.parse().ok()
    });
    lines.collect()
}

#[test]
fn logs_go_on_over_restarts_of_the_controller_with_each_line_once() {
    let host = Host::new();
    host.write("count/compose.yaml", COUNTING);
    let serve = host.serve(&["count"]);
    host.until_well("count-a-1");
    host.until_well("count-b-1");
    let follow = |name: &str, words: &[&str]| {
        let path = host.path(name);
        let file = File::create(&path).expect("a file");
        let mut command = host.command(env!("CARGO_BIN_EXE_keel"));
        command.args(["logs", "-f"]).args(words).stdout(file).stderr(Stdio::null());
        (command.spawn().expect("keel runs"), path)
    };
    let mut all = [
        follow("both", &["count"]),
        follow("bare", &["count-a-1"]),
        follow("end", &["--tail", "0", "count/a"]),
    ];
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let more = |than: usize| {
        let grown = || all.iter().all(|(_, path)| read(path).len() > than).then_some(());
        until("all of them go on", grown, || host.overview());
        all.iter().map(|(_, path)| read(path).len()).max().unwrap_or_default()
    };
    let mut length = more(0);
    serve.kill();
    // Nobody serves, and what runs is read all the same.
    length = more(length + 500);
    let serve = host.serve(&["count"]);
    length = more(length + 500);
    let (code, _) = serve.interrupt();
    assert_eq!(code, 0);
    let serve = host.serve(&["count"]);
    more(length + 500);
    drop(serve);
    host.keel(&["stop", "-t", "1", "count"]).ok();
    for (child, path) in &mut all {
        let code = child.wait().expect("it is ours").code();
        let text = read(path);
        assert_eq!(code, Some(0), "{text}");
        for service in ["a", "b"] {
            let numbers = counted(&text, service);
            let first = numbers.first().copied().unwrap_or(1);
            let wanted: Vec<u32> = (first..).take(numbers.len()).collect();
            assert_eq!(numbers, wanted, "{}: {service}", path.display());
        }
        assert!(counted(&text, "a").len() > 50, "{text}");
        assert!(!text.contains("Z a") && !text.contains("000Z"), "no times were asked for: {text}");
    }
    assert_eq!(counted(&read(&all[0].1), "a").first(), Some(&1));
    host.keel(&["down", "count"]).ok();
    host.finish();
}
