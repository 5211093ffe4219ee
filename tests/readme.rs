//! What README shows is true: its first command, its commands, its files and what it says is
//! printed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keel_reconciler::config::Config;
use std::collections::BTreeSet;
use std::fs;
use support::{Host, until};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(format!("{ROOT}/README.md")).unwrap()
}

/// Fenced blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let after = text.split(&fence).skip(1);
    after.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// What stands between single backticks, on one line.
fn spans(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2);
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Every call of `keel` that is shown, as words after `keel`.
fn calls(text: &str) -> BTreeSet<Vec<String>> {
    let lines: Vec<_> = blocks(text, "sh")
        .iter()
        .flat_map(|block| block.lines())
        .map(|line| line.split(" #").next().unwrap_or_default().to_owned())
        .chain(spans(text))
        .collect();
    let commands = lines.iter().flat_map(|line| line.split([';', '&'])).map(str::trim);
    let calls = commands.filter_map(|command| {
        command
            .strip_prefix("keel ")
            .or_else(|| command.strip_prefix("cargo run --release -- "))
            .map(|rest| rest.split_whitespace().map(str::to_owned).collect())
    });
    calls.collect()
}

#[test]
fn the_first_command_serves_answers_follows_and_goes() {
    let text = readme();
    assert!(text.contains("cargo run --release -- serve examples/stacks/hello"));
    let shown = blocks(&text, "console").into_iter().find(|block| block.contains("curl")).unwrap();
    let (curl, answer) = shown.split_once('\n').unwrap();
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "N");
    let host = Host::bare();
    host.sh(&format!("cp -r {ROOT}/examples/stacks/hello hello"));
    let serve = host.serve(&["hello"]);
    for name in ["hello-web-1", "hello-web-2", "hello-counter-1"] {
        host.until_well(name);
    }
    let answers = host.sh(&format!("{} -s", curl.trim_start_matches("$ ")));
    assert_eq!(digits(&answers), digits(answer), "as README shows it");
    let path = host.path("hello/compose.yaml");
    let edited = fs::read_to_string(&path).unwrap().replace("replicas: 2", "replicas: 1");
    fs::write(&path, edited).unwrap();
    let gone = || host.container("hello-web-2").is_none().then_some(());
    until("an edit is followed", gone, || format!("{}\n{}", serve.said(), host.overview()));
    drop(serve);
    host.keel(&["down", "hello"]).ok();
    host.keel(&["down", "--volumes", "hello"]).ok();
    host.finish();
}

#[test]
fn every_command_shown_is_one_and_has_the_options_shown() {
    let calls = calls(&readme());
    assert!(calls.len() > 12, "{calls:?}");
    let host = Host::bare();
    for call in calls {
        let Some(command) = call.first().filter(|word| !word.starts_with('-')) else { continue };
        let mut help = host.keel(&[command, "--help"]).ok().stdout;
        if let Some(inner) = call.get(1).filter(|_| help.contains("\nCommands:")) {
            help = host.keel(&[command, inner, "--help"]).ok().stdout;
        }
        for option in call.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option.as_str()), "`keel {}`: {help}", call.join(" "));
        }
    }
}

#[test]
fn the_configuration_shown_is_accepted() {
    let shown = blocks(&readme(), "yaml");
    let [configuration] = &shown[..] else { panic!("one block of YAML: {shown:?}") };
    let config = Config::parse(configuration, "README.md").unwrap();
    assert_eq!(config.sources.len(), 1);
}

#[test]
fn the_broken_file_shown_is_refused_in_these_words() {
    let host = Host::bare();
    host.write(
        "compose.yaml",
        "services:\n  site:\n    image: nginx:1\n  web:\n    image: caddy:2\n    ports:\n      \
         - 8080:80\n    restart: unless-stopped\n    deploy:\n      update_config:\n        \
         order: start-first\n      replicaz: 2\n",
    );
    let called = host.keel(&["check"]);
    let shown = blocks(&readme(), "console");
    let shown = shown.iter().find(|block| block.starts_with("error")).unwrap();
    assert_eq!(called.code, 1);
    assert!(called.stderr.contains(shown.as_str()), "{}", called.stderr);
}
