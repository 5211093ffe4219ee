//! What Debian's docker-compose 1.29 makes of files, against what is rendered here. Both results
//! are rendered, so that only meaning is compared.
//!
//! `compared/cases.txt` has files that are written for this, each with its differences and why;
//! `UPDATE_CASES=1` writes them down. The case tables of the other tests and the example stacks
//! are compared, too: every difference there is one of `compared/explained.txt`.

#[path = "compared/explained.rs"]
mod explained;
#[path = "compared/peer.rs"]
mod peer;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use explained::Explanations;
use keel_spec::{Document, Folder, Problem, Project, render};
use peer::Peer;
use serde_json::Value;
use tables::Case;

#[test]
fn docker_compose_reads_the_same() {
    let Some(mut peer) = started() else { return };
    let path = here("tests/compared/cases.txt");
    let cases = tables::parse(&std::fs::read_to_string(&path).expect("the table is here"));
    let said: Vec<String> =
        cases.iter().map(|case| differences(case, &mut peer).join("\n") + "\n").collect();
    if std::env::var_os("UPDATE_CASES").is_some() {
        let written = cases.iter().zip(&said).map(|(case, said)| tables::written(case, said));
        std::fs::write(&path, written.collect::<String>()).expect("it can be written");
        return;
    }
    let mut wrong = String::new();
    for (case, said) in cases.iter().zip(&said) {
        if said.trim_end() != case.wanted.trim_end() {
            let (title, wanted) = (&case.title, &case.wanted);
            let _ = write!(wrong, "\n### {title}\n=== wanted\n{wanted}\n=== said\n{said}");
        }
        let explained = case.options.iter().any(|option| option.starts_with("why: "));
        let same = ["same\n", "both refuse it\n"].contains(&said.as_str());
        assert!(same || explained, "{} differs, and does not say why", case.title);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_differs_in_all_other_cases_is_explained() {
    let Some(mut peer) = started() else { return };
    let mut explanations = Explanations::read(&here("tests/compared/explained.txt"));
    let mut wrong = String::new();
    for case in tables::all() {
        for difference in differences(&case, &mut peer) {
            let difference = format!("{}: {difference}", case.title);
            if !explanations.explain(&difference) {
                let _ = writeln!(wrong, "{difference}");
            }
        }
    }
    assert!(wrong.is_empty(), "differences that nothing explains:\n{wrong}");
    let unused = explanations.unused();
    assert!(unused.is_empty(), "explanations of nothing: {unused:#?}");
}

#[test]
fn docker_compose_reads_the_example_stacks_the_same() {
    let Some(mut peer) = started() else { return };
    let folders = std::fs::read_dir(here("../examples/stacks")).expect("they are here");
    for folder in folders {
        let folder = folder.expect("it can be listed");
        let mut case = Case::default();
        read_below(&folder.path(), "", &mut case);
        let said = differences(&case, &mut peer);
        assert_eq!(said, ["same"], "{}", folder.path().display());
    }
}

/// Adds every file of a folder, but for a key that 1.29 does not know and that changes nothing
/// else.
fn read_below(folder: &Path, within: &str, case: &mut Case) {
    for entry in std::fs::read_dir(folder).expect("it is a folder") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("its name is text");
        let name = format!("{within}{name}");
        if path.is_dir() {
            read_below(&path, &format!("{name}/"), case);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it is text");
        let known = |line: &&str| !line.trim_start().starts_with("start_interval:");
        case.contents.push((name, text.split_inclusive('\n').filter(known).collect()));
    }
}

fn started() -> Option<Peer> {
    let peer = Peer::start();
    if peer.is_none() {
        eprintln!("docker-compose 1.29 is not installed: nothing is compared");
    }
    peer
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// How files are to be read.
#[derive(Default)]
struct Asked {
    files: Vec<String>,
    environment: BTreeMap<String, String>,
}

impl Asked {
    fn of(case: &Case) -> Self {
        let files = case.options.iter().find_map(|option| option.strip_prefix("files: "));
        let files = files.into_iter().flat_map(|files| files.split(' ')).map(str::to_owned);
        let variable = |option: &String| {
            let (name, value) = option.split_once('=')?;
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            plain.then(|| (name.to_owned(), value.to_owned()))
        };
        let environment = case.options.iter().filter_map(variable).collect();
        Self { files: files.collect(), environment }
    }

    fn project(&self, dir: &Path) -> Project {
        let environment = self.environment.clone();
        Project { name: Some("blog".into()), environment, ..Project::new(dir) }
    }
}

/// What differs between the two readings of a case, a line for each.
fn differences(case: &Case, peer: &mut Peer) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("blog");
    std::fs::create_dir(&dir).expect("it is made");
    for (name, content) in &case.contents {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it is made");
        let content = content.replace("\\t", "\t").replace("\\r", "\r");
        std::fs::write(path, content).expect("it is written");
    }
    compared_in(&dir, &Asked::of(case), peer)
}

fn compared_in(dir: &Path, asked: &Asked, peer: &mut Peer) -> Vec<String> {
    let ours = render(&asked.project(dir).files(&asked.files), &Folder::default());
    let files: Vec<&str> = asked.files.iter().map(String::as_str).collect();
    let theirs = peer.config(dir, &files, &asked.environment);
    match (ours.document, theirs) {
        (None, Err(_)) => vec!["both refuse it".to_owned()],
        (None, Ok(_)) => {
            let errors = ours.loaded.problems.iter().filter(|problem| problem.is_error());
            let said = |problem: &Problem| format!("refused here alone: {}", problem.message);
            errors.map(said).collect()
        }
        (Some(_), Err(why)) => vec![format!("refused there alone: {why}")],
        (Some(ours), Ok(theirs)) => compared(&ours, &theirs, dir, asked),
    }
}

fn compared(ours: &Document, theirs: &str, dir: &Path, asked: &Asked) -> Vec<String> {
    // Beside the files, for paths that are relative in both.
    let file = dir.join("theirs.yaml");
    std::fs::write(&file, theirs).expect("it is written");
    let project = asked.project(dir).files(["theirs.yaml"]);
    let rendered = render(&project, &Folder::default());
    std::fs::remove_file(&file).expect("it was written");
    let Some(theirs) = rendered.document else {
        let problems = rendered.loaded.problems.into_iter().filter(Problem::is_error);
        let messages: Vec<_> = problems.map(|problem| problem.message).collect();
        return vec![format!("what it makes of it is refused here: {}", messages.join("; "))];
    };
    let (ours, theirs) = (leaves(&ours.json()), leaves(&theirs.json()));
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let shown = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
    let differing = paths.into_iter().filter(|path| ours.get(*path) != theirs.get(*path));
    let said = differing.map(|path| {
        let (here, there) = (shown(ours.get(path)), shown(theirs.get(path)));
        let line = format!("{path}: {here} here, {there} there");
        line.replace(&dir.display().to_string(), "DIR")
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { vec!["same".to_owned()] } else { said }
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
