//! What Debian's docker-compose 1.29 says of files (`docker-compose config`), against what is
//! rendered here. Both texts are rendered, so that only meaning is compared. Every difference is
//! listed in its case, with why. `UPDATE_CASES=1` writes them down.

mod tables;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use keel_spec::{Document, Folder, Project, render};
use serde_json::Value;
use tables::Case;

const PROGRAM: &str = "docker-compose";

#[test]
fn docker_compose_reads_the_same() {
    if !is_there() {
        eprintln!("{PROGRAM} is not installed: nothing is compared");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compared/cases.txt");
    let text = std::fs::read_to_string(&path).expect("the table is here");
    let cases = tables::parse(&text);
    let said = in_threads(&cases);
    if std::env::var_os("UPDATE_CASES").is_some() {
        let written = cases.iter().zip(&said).map(|(case, said)| tables::written(case, said));
        std::fs::write(&path, written.collect::<String>()).expect("it can be written");
        return;
    }
    let mut wrong = String::new();
    for (case, said) in cases.iter().zip(&said) {
        if said.trim_end() != case.wanted.trim_end() {
            let _ = write!(
                wrong,
                "\n### {}\n=== wanted\n{}\n=== said\n{said}",
                case.title, case.wanted
            );
        }
        let explained = case.options.iter().any(|option| option.starts_with("why: "));
        assert!(
            ["same\n", "both refuse it\n"].contains(&said.as_str()) || explained,
            "{} differs, and does not say why",
            case.title
        );
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn is_there() -> bool {
    let version = Command::new(PROGRAM).arg("version").arg("--short").output();
    version.is_ok_and(|output| output.stdout.starts_with(b"1.29"))
}

/// The other program takes its time.
fn in_threads(cases: &[Case]) -> Vec<String> {
    let half = cases.len().div_ceil(2).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .chunks(half)
            .map(|cases| scope.spawn(|| cases.iter().map(differences).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    })
}

/// What differs between the two readings of a case.
fn differences(case: &Case) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("blog");
    for (name, content) in &case.contents {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it is made");
        std::fs::write(path, content).expect("it is written");
    }
    let files = option(case, "files").unwrap_or_else(|| "compose.yaml".into());
    let files: Vec<&str> = files.split(' ').collect();
    let ours = Project { name: Some("blog".into()), ..Project::new(&dir) }.files(files.clone());
    let ours = render(&ours, &Folder::default()).document;
    let theirs = config(&dir, &files);
    match (ours, theirs) {
        (None, Err(_)) => "both refuse it\n".to_owned(),
        (None, Ok(_)) => "refused here alone\n".to_owned(),
        (Some(_), Err(why)) => format!("refused there alone: {why}\n"),
        (Some(ours), Ok(theirs)) => compared(&ours, &theirs, &dir),
    }
}

fn option(case: &Case, name: &str) -> Option<String> {
    let start = format!("{name}: ");
    case.options.iter().find_map(|option| option.strip_prefix(&start)).map(str::to_owned)
}

/// What the other program makes of the files, or its first words about them.
fn config(dir: &Path, files: &[&str]) -> Result<String, String> {
    let output = Command::new(PROGRAM)
        .args(files.iter().flat_map(|file| ["-f", file]))
        .args(["-p", "blog", "config"])
        .current_dir(dir)
        .output()
        .expect("it runs");
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(line.replace(&dir.display().to_string(), "."))
}

fn compared(ours: &Document, theirs: &str, dir: &Path) -> String {
    std::fs::write(dir.join("theirs.yaml"), theirs).expect("it is written");
    let project = Project { name: Some("blog".into()), ..Project::new(dir) }.files(["theirs.yaml"]);
    let rendered = render(&project, &Folder::default());
    let Some(theirs) = rendered.document else {
        let messages: Vec<_> =
            rendered.loaded.problems.iter().map(|problem| problem.message.as_str()).collect();
        return format!("what it makes of it is refused here: {}\n", messages.join("; "));
    };
    let (ours, theirs) = (leaves(&ours.json()), leaves(&theirs.json()));
    let mut out = String::new();
    let paths: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for path in paths {
        let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "nothing".into());
        if ours.get(path) != theirs.get(path) {
            let (here, there) = (shown(ours.get(path)), shown(theirs.get(path)));
            let _ = writeln!(out, "{path}: {here} here, {there} there");
        }
    }
    let out = out.replace(&dir.display().to_string(), "DIR");
    if out.is_empty() { "same\n".to_owned() } else { out }
}

/// Every value that has none below it, by its path.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let below =
                |key: &String| if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            map.iter().for_each(|(key, value)| collect(value, below(key), found));
        }
        Value::Array(items) if !items.is_empty() => {
            let each = items.iter().enumerate();
            each.for_each(|(index, value)| collect(value, format!("{path}[{index}]"), found));
        }
        value => drop(found.insert(path, value.to_string())),
    }
}
