//! Commands for whoever writes Compose files: they need neither root nor a daemon.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const SLOPPY: &str = "services:
  web:
    image: nginx
    ports: ['5432:5432'] # keel: allow W0302
";

fn keel(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keel"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .expect("keel runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn stack(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("compose.yaml"), text).expect("it is writable");
    folder
}

#[test]
fn warnings_are_no_failure_unless_they_shall_be() {
    let folder = stack(SLOPPY);
    let check = keel(folder.path(), &["check"]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(0), "{said}");
    assert!(said.contains("[W0301]") && !said.contains("[W0302]"), "{said}");
    assert_eq!(keel(folder.path(), &["check", "--strict"]).status.code(), Some(1));
}

#[test]
fn problems_are_data_too() {
    let folder = stack("services:\n  web:\n    imag: nginx\n");
    let check = keel(folder.path(), &["check", "--format", "json"]);
    assert_eq!(check.status.code(), Some(1));
    let found = json(&check);
    let problem = &found["stacks"][0]["problems"][0];
    assert_eq!((&problem["code"], &problem["line"]), (&"E0401".into(), &3.into()), "{found}");
    assert_eq!(problem["hint"], "did you mean `image`?");
    let sarif = json(&keel(folder.path(), &["check", "--format", "sarif"]));
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "E0401");
}

#[test]
fn two_stacks_cannot_have_one_port() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        std::fs::create_dir(folder.path().join(name)).expect("it is writable");
        let text = "services: {web: {image: 'nginx:1', ports: ['80:80']}}\n";
        std::fs::write(folder.path().join(name).join("compose.yaml"), text).expect("likewise");
    }
    let check = keel(folder.path(), &["check", "--strict"]);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains("stacks `a` and `b` both publish port 80/tcp [W0308]"), "{said}");
    assert!(said.contains("b/compose.yaml:1:"), "{said}");
}

#[test]
fn a_model_renders_as_itself() {
    let folder = stack("services: {web: {image: 'nginx:${TAG}', volumes: ['./a:/a']}}\n");
    std::fs::write(folder.path().join("prod.yaml"), "services: {web: {init: true}}\n").unwrap();
    std::fs::write(folder.path().join(".env"), "TAG=1\n").unwrap();
    let render = keel(folder.path(), &["render", "-f", "compose.yaml", "-f", "prod.yaml"]);
    let first = stdout(&render);
    assert!(first.contains("init: true") && first.contains("image: nginx:1"), "{first}");
    let again = stack(&first);
    assert_eq!(stdout(&keel(again.path(), &["render"])), first);
    let hash = stdout(&keel(again.path(), &["render", "--hash"]));
    assert_eq!((hash.len(), hash.starts_with("web ")), (4 + 64 + 1, true), "{hash}");
    let origins = stdout(&keel(folder.path(), &["render", "--origins"]));
    assert!(origins.contains("nginx:1  # compose.yaml:1:"), "{origins}");
    assert!(origins.contains("; from ${TAG} in .env:1"), "{origins}");
    assert!(json(&keel(folder.path(), &["render", "--format", "json"]))["services"].is_object());
}

#[test]
fn a_started_stack_has_no_problems() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(keel(folder.path(), &["init", "blog"]).status.success());
    assert_eq!(keel(folder.path(), &["init", "blog"]).status.code(), Some(1), "it is there");
    let check = keel(folder.path(), &["check", "--strict", "blog"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn codes_and_schemas_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let explained = stdout(&keel(folder.path(), &["explain", "e0401"]));
    assert!(explained.starts_with("E0401 unknown-key: "), "{explained}");
    assert_eq!(keel(folder.path(), &["explain", "E9999"]).status.code(), Some(64));
    let schema = json(&keel(folder.path(), &["schema", "compose"]));
    assert!(schema["properties"]["x-keel"].is_object());
    let own = json(&keel(folder.path(), &["schema", "x-keel"]));
    assert_eq!(own["properties"]["drift"]["enum"], serde_json::json!(["heal", "report"]));
}

#[test]
fn a_repository_is_checked_from_its_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let write = |name: &str, text: &str| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it is writable");
        std::fs::write(path, text).expect("likewise");
    };
    for name in ["stacks/a", "stacks/b", "lab/deep/c"] {
        write(
            &format!("{name}/compose.yaml"),
            "services: {web: {image: 'nginx:1', environment: {PLACE: '${PLACE:?}'}, privileged: true}}\n",
        );
    }
    write(
        "keel.yaml",
        "sources:\n  home: { git: https://git.example.org/home, path: stacks/*, env: { PLACE: attic }, allow: [] }\n  \
         lab: { dir: ./lab, path: '**', env: { PLACE: lab } }\n",
    );
    let said = |words: &[&str]| {
        let words = [&["check", "--config", "keel.yaml"], words].concat();
        let output = keel(root, &words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let verdicts = |words: &[&str]| -> Vec<String> {
        let (_, out, _) = said(words);
        out.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(verdicts(&[]), ["lab/deep/c", "stacks/a", "stacks/b"]);
    for words in [
        &["stacks/*"][..],
        &["./stacks/*/compose.yaml"],
        &["--path", "stacks/*"],
        &["stacks", "--path", "a", "--path", "b"],
        &["stacks/a", "stacks/b"],
        &["stacks"],
    ] {
        let trimmed: Vec<_> =
            verdicts(words).iter().map(|name| name.trim_start_matches("./").to_owned()).collect();
        assert_eq!(trimmed, ["stacks/a", "stacks/b"], "{words:?}");
    }
    let (code, out, err) = said(&["nowhere/*"]);
    assert_eq!((code, &*out), (Some(1), ""), "{err}");
    let (code, _, err) = said(&["--path", "nowhere/*"]);
    assert!(code == Some(1) && err.contains("there are some in lab/deep/c, stacks/a"), "{err}");

    // A source brings its globs, variables and limits.
    let (code, out, err) = said(&["lab"]);
    assert_eq!((code, verdicts(&["lab"]).len()), (Some(1), 1), "a folder is no source: {out}{err}");
    std::fs::rename(root.join("lab"), root.join("moved")).expect("it is ours");
    let config = std::fs::read_to_string(root.join("keel.yaml")).expect("it is there");
    write("keel.yaml", &config.replace("./lab", &root.join("moved").display().to_string()));
    let (code, out, err) = said(&["lab"]);
    assert!(code == Some(0) && out.contains("deep/c"), "{out}{err}");
    let (code, _, err) = said(&["home"]);
    assert!(code == Some(1) && err.contains("not a work tree"), "{err}");
    let git = std::process::Command::new("git").args(["init", "-q"]).current_dir(root).status();
    assert!(git.expect("git is installed").success());
    let (code, out, err) = said(&["home"]);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("stacks/a:") && !out.contains("deep"), "{out}");
    assert!(err.contains("`privileged`") && !err.contains("[E0202]"), "{err}");
    let (code, _, err) = said(&["hom"]);
    assert!(code == Some(1) && err.contains("keel.yaml names home, lab"), "{err}");
}
