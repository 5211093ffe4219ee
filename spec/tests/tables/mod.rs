//! Tables of cases: a title (`###`), options (`$`), files (`---`), and what they say (`===`).

#![allow(dead_code, reason = "not every test that has this module uses all of it")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use keel_spec::{Memory, Project};

/// A case as read from its file.
#[derive(Default)]
pub struct Case {
    /// What it shows.
    pub title: String,
    /// How it is loaded and shown.
    pub options: Vec<String>,
    /// Its files.
    pub contents: Vec<(String, String)>,
    /// What it is to say.
    pub wanted: String,
}

/// Options that say what is shown, and not how it is loaded.
const SHOWN: &[&str] = &["advice", "render", "origins"];

/// Where a table is.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/{name}.txt"))
}

/// The cases of all tables.
pub fn all() -> Vec<Case> {
    let folder = path("x");
    let folder = folder.parent().expect("it is in a folder");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are here")
        .map(|file| file.expect("it can be listed").path())
        .collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("a table is text"));
    texts.flat_map(|text| parse(&text)).collect()
}

impl Case {
    /// What is loaded.
    pub fn project(&self) -> Project {
        let mut project = Project::new("/srv/blog");
        for option in self.options.iter().filter(|option| !SHOWN.contains(&option.as_str())) {
            project = match option.split_once(": ") {
                Some(("show", _)) => project,
                Some(("files", files)) => project.files(files.split(' ')),
                Some(("name", name)) => Project { name: Some(name.to_owned()), ..project },
                Some(("profiles", names)) => {
                    Project { profiles: names.split(' ').map(str::to_owned).collect(), ..project }
                }
                _ => {
                    let (name, value) = option.split_once('=').expect("a variable");
                    project.variable(name, value)
                }
            };
        }
        project
    }

    /// Where it is loaded from.
    pub fn files(&self) -> Memory {
        let content = |text: &str| text.replace("\\t", "\t").replace("\\r", "\r");
        self.contents.iter().fold(Memory::default(), |files, (path, text)| {
            files.with(Path::new("/srv/blog").join(path), content(text))
        })
    }

    /// The paths of the rendered model that it shows.
    pub fn shown(&self) -> Option<Vec<&str>> {
        let paths = self.options.iter().find_map(|option| option.strip_prefix("show: "));
        paths.map(|paths| paths.split(' ').collect())
    }

    /// Whether it has this option.
    pub fn asks_for(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }
}

/// A case as it is written, with what it says now.
pub fn written(case: &Case, said: &str) -> String {
    let mut out = format!("### {}\n", case.title);
    for option in &case.options {
        let _ = writeln!(out, "$ {option}");
    }
    for (file, content) in &case.contents {
        let _ = write!(out, "--- {file}\n{content}");
    }
    format!("{out}===\n{}\n\n", said.trim_end())
}

/// The cases of one table.
pub fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut wanted = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            cases.push(Case { title: title.to_owned(), ..Case::default() });
            wanted = false;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if line == "===" {
            wanted = true;
        } else if wanted {
            case.wanted.push_str(line);
            case.wanted.push('\n');
        } else if let Some(file) = line.strip_prefix("--- ") {
            case.contents.push((file.to_owned(), String::new()));
        } else if let Some((_, content)) = case.contents.last_mut() {
            content.push_str(line);
            content.push('\n');
        } else if let Some(option) = line.strip_prefix("$ ") {
            case.options.push(option.to_owned());
        }
    }
    cases
}
