//! The modules of a crate: the file of each, what it names, and what it hands on.

use super::words::{closed, words};
use std::collections::{BTreeMap, BTreeSet};

/// A module's path from the crate's root.
pub type Path = Vec<String>;

/// The files of a crate by their paths, with their texts.
pub type Files = BTreeMap<String, String>;

/// One module: a file, or a part of one in braces.
#[derive(Default)]
pub struct Module {
    pub file: String,
    pub children: BTreeSet<String>,
    pub imports: Vec<Import>,
    /// Paths in its code, as they are written.
    pub named: Vec<Path>,
    /// What it defines itself.
    pub defined: BTreeSet<String>,
}

/// One name that a `use` brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub path: Path,
    /// What it is called here; `*` stands for all that is there.
    pub name: String,
    /// Others find it here, too.
    pub is_public: bool,
}

/// All modules that are reached from the root's file.
pub fn modules(files: &Files, root: &str) -> BTreeMap<Path, Module> {
    let mut found = BTreeMap::new();
    read(files, root, vec![], &mut found);
    found
}

fn read(files: &Files, file: &str, path: Path, found: &mut BTreeMap<Path, Module>) {
    let words = words(&files[file]);
    let folder = folder_of(file);
    take(files, &Place { file, folder }, &words, path, found);
}

/// Where the files of a file's child modules are.
fn folder_of(file: &str) -> String {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => file.trim_end_matches(".rs").to_owned(),
    }
}

struct Place<'a> {
    file: &'a str,
    folder: String,
}

/// Reads one module's words.
fn take(
    files: &Files,
    place: &Place<'_>,
    words: &[String],
    path: Path,
    found: &mut BTreeMap<Path, Module>,
) {
    let mut module = Module { file: place.file.to_owned(), ..Module::default() };
    let mut at = 0;
    while at < words.len() {
        let word = |ahead: usize| words.get(at + ahead).map_or("", String::as_str);
        match (word(0), word(2)) {
            ("mod", ";") => {
                let folder = format!("{}/{}", place.folder, word(1));
                let [plain, inside] = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
                let file =
                    [plain, inside].into_iter().map(|f| f.trim_start_matches('/').to_owned());
                if let Some(file) = file.into_iter().find(|file| files.contains_key(file)) {
                    module.children.insert(word(1).to_owned());
                    read(files, &file, child(&path, word(1)), found);
                }
                at += 3;
            }
            ("mod", "{") => {
                let end = closed(words, at + 2);
                module.children.insert(word(1).to_owned());
                let folder = format!("{}/{}", place.folder, word(1));
                let inside = &words[at + 3..end - 1];
                let place = Place { file: place.file, folder };
                take(files, &place, inside, child(&path, word(1)), found);
                at = end;
            }
            ("use", _) if word(1) != "<" => {
                let end = words[at..].iter().position(|word| word == ";");
                let end = end.map_or(words.len(), |length| at + length);
                let is_public = at > 0 && (words[at - 1] == "pub" || is_restricted(words, at));
                imports(&words[at + 1..end], &[], is_public, &mut module.imports);
                at = end;
            }
            _ => at = other(words, at, &mut module),
        }
    }
    found.insert(path, module);
}

fn child(path: &Path, name: &str) -> Path {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// Whether `pub(…)` stands before this.
fn is_restricted(words: &[String], at: usize) -> bool {
    let open = words[..at].iter().rposition(|word| word == "(");
    words[at - 1] == ")" && open.is_some_and(|open| open > 0 && words[open - 1] == "pub")
}

/// The names that one tree of a `use` brings.
fn imports(tree: &[String], before: &[String], is_public: bool, found: &mut Vec<Import>) {
    let open = tree.iter().position(|word| word == "{");
    let (head, inside) = tree.split_at(open.unwrap_or(tree.len()));
    let (head, name) = match head.iter().position(|word| word == "as") {
        Some(at) => (&head[..at], head.get(at + 1).cloned()),
        None => (head, None),
    };
    let steps = head.iter().filter(|word| *word != "::").cloned();
    let mut path: Path = before.iter().cloned().chain(steps).collect();
    if !inside.is_empty() {
        let inside = &inside[1..closed(inside, 0) - 1];
        branches(inside).iter().for_each(|tree| imports(tree, &path, is_public, found));
        return;
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let Some(last) = path.last().cloned() else { return };
    if last == "*" {
        path.pop();
    }
    found.push(Import { path, name: name.unwrap_or(last), is_public });
}

/// The parts between commas that stand in no further braces.
fn branches(words: &[String]) -> Vec<&[String]> {
    let (mut found, mut start, mut at) = (vec![], 0, 0);
    while at < words.len() {
        match words[at].as_str() {
            "{" => at = closed(words, at),
            "," => {
                found.push(&words[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    found.push(&words[start..]);
    found.retain(|branch| !branch.is_empty());
    found
}

/// Notes a path or a definition, and goes behind it.
fn other(words: &[String], at: usize, module: &mut Module) -> usize {
    const DEFINES: [&str; 8] =
        ["fn", "struct", "enum", "trait", "type", "const", "static", "macro_rules"];
    let before = if at > 0 { words[at - 1].as_str() } else { "" };
    if !words[at].starts_with(|sign: char| sign.is_alphabetic() || sign == '_') {
        return at + 1;
    }
    if DEFINES.contains(&before) {
        module.defined.insert(words[at].clone());
    }
    let mut end = at + 1;
    while words.get(end).is_some_and(|word| word == "::")
        && words.get(end + 1).is_some_and(|word| word.starts_with(|s: char| is_name(s)))
    {
        end += 2;
    }
    // A field or method, a definition's own name, or the scope of a `pub(in …)`.
    if ![".", "::", "in"].contains(&before) && !DEFINES.contains(&before) {
        module.named.push(words[at..end].iter().step_by(2).cloned().collect());
    }
    end
}

fn is_name(sign: char) -> bool {
    sign.is_alphabetic() || sign == '_'
}
