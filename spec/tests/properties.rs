//! What holds for every input: spans point at the text that they claim, and nothing that is
//! thrown at the loader makes it panic or point outside its files.

mod fragments;

use std::path::Path;

use fragments::FRAGMENTS;
use keel_spec::{Loaded, Memory, Project, Span, Texts, load, problem};
use proptest::prelude::*;
use proptest::sample::Index;

fn load_text(text: impl Into<Vec<u8>>) -> Loaded {
    load(&Project::new("/blog"), &Memory::default().with("/blog/compose.yaml", text))
}

/// The characters that a span covers.
fn covered(texts: &Texts, span: &Span) -> Option<String> {
    let line = texts.line(&span.file, span.line)?;
    let (start, len) = (span.column as usize - 1, span.len as usize);
    let found: String = line.chars().skip(start).take(len).collect();
    (found.chars().count() == len).then_some(found)
}

/// A value as it may be written, with its text.
fn written() -> impl Strategy<Value = (String, String)> {
    let plain = "[a-zäöü][a-z0-9äöü ._/-]{0,12}[a-z]".prop_map(|text| (text.clone(), text));
    let single = "[a-z:#ü{} ]{1,10}".prop_map(|text| (format!("'{text}'"), text));
    let double = "[a-z:#ü{} ]{1,10}".prop_map(|text| (format!("\"{text}\""), text));
    prop_oneof![plain, single, double]
}

proptest! {
    #[test]
    fn origins_cover_their_values(
        variables in prop::collection::btree_map("[A-Z]{1,6}", written(), 1..6),
        image in "[a-z]{1,8}",
        port in 1u16..,
        margin in 1usize..5,
        flow in any::<bool>(),
    ) {
        let pad = " ".repeat(margin);
        let mut text = format!("# ü\nservices:\n{pad}web:\n{pad}{pad}image: {image}\n");
        text += &format!("{pad}{pad}ports: [80, \"{port}:81\"]\n{pad}{pad}environment:");
        if flow {
            let pairs: Vec<_> = variables.iter().map(|(name, (source, _))| format!("{name}: {source}")).collect();
            text += &format!(" {{{}}}\n", pairs.join(", "));
        } else {
            text += "\n";
            for (name, (source, _)) in &variables {
                text += &format!("{pad}{pad}{pad}- {}\n", quoted(name, source));
            }
        }
        let loaded = load_text(text.clone());
        let Some(stack) = loaded.stack else {
            return Err(TestCaseError::fail(format!("{text}\n{:?}", loaded.problems)));
        };
        let service = &stack.services["web"];
        let at = |path: &str| covered(&stack.texts, service.origins.get(path).unwrap()).unwrap();
        prop_assert_eq!(at("image"), image);
        prop_assert_eq!(at("ports[1]"), format!("\"{port}:81\""));
        for (name, (source, value)) in &variables {
            prop_assert_eq!(service.process.environment[name].as_deref(), Some(value.as_str()));
            let wanted = if flow { source } else { value };
            prop_assert_eq!(&at(&format!("environment.{name}")), wanted);
        }
    }

    #[test]
    fn mutated_files_never_panic(case in any::<Index>(), edits in prop::collection::vec(edit(), 1..6)) {
        let seeds = seeds();
        let mut bytes = case.get(&seeds).clone().into_bytes();
        for edit in &edits {
            edit.apply(&mut bytes);
        }
        points_inside(&load_text(bytes))?;
    }

    #[test]
    fn any_text_loads_or_is_refused(text in "(?s).{0,200}") {
        points_inside(&load_text(text))?;
    }

    #[test]
    fn any_bytes_load_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        points_inside(&load_text(bytes))?;
    }
}

/// `NAME=value` in the same quotes as the value alone.
fn quoted(name: &str, source: &str) -> String {
    match source.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{name}={}", &source[1..]),
        _ => format!("{name}={source}"),
    }
}

/// Every problem can be printed, and has its place inside the file that it names. A load
/// without a stack says why.
fn points_inside(loaded: &Loaded) -> Result<(), TestCaseError> {
    for found in &loaded.problems {
        problem::render(found, &loaded.texts);
        let Some(span) = &found.span else { continue };
        let lines =
            loaded.texts.get(&span.file).map(|text| text.lines().count()).unwrap_or_default();
        let line = loaded.texts.line(&span.file, span.line).unwrap_or_default().chars().count();
        let inside = span.line as usize <= lines + 1 && span.column as usize <= line + 1;
        prop_assert!(inside, "{} is outside of its file: {}", span, found.message);
        prop_assert!(
            (span.column + span.len) as usize <= line + 2,
            "{} is too long: {:?}",
            span,
            found
        );
    }
    let failed = loaded.problems.iter().any(keel_spec::Problem::is_error);
    prop_assert_eq!(loaded.stack.is_none(), failed);
    Ok(())
}

/// The Compose files of the case tables.
fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are here")
        .map(|file| file.expect("it can be listed").path())
        .collect();
    files.sort();
    let tables =
        files.iter().map(|file| std::fs::read_to_string(file).expect("a case table is text"));
    let cases = tables.flat_map(|table| {
        let parts: Vec<String> =
            table.split("--- compose.yaml\n").skip(1).map(str::to_owned).collect();
        parts
    });
    cases.filter_map(|case| Some(case.split("\n===").next()?.to_owned())).collect()
}

/// One change of a file.
#[derive(Debug, Clone)]
enum Edit {
    Remove(Index, usize),
    Insert(Index, &'static str),
    Repeat(Index, usize),
    Flip(Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let parts = prop::sample::select(FRAGMENTS);
    prop_oneof![
        (any::<Index>(), 1usize..20).prop_map(|(at, len)| Edit::Remove(at, len)),
        (any::<Index>(), parts).prop_map(|(at, part)| Edit::Insert(at, part)),
        (any::<Index>(), 1usize..40).prop_map(|(at, len)| Edit::Repeat(at, len)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Flip(at, byte)),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Self::Remove(at, len) => {
                let at = at.index(length);
                bytes.drain(at..length.min(at + len));
            }
            Self::Insert(at, part) => {
                let at = at.index(length);
                bytes.splice(at..at, part.bytes());
            }
            Self::Repeat(at, len) => {
                let at = at.index(length);
                let part = bytes[at..length.min(at + len)].to_vec();
                bytes.splice(at..at, part);
            }
            Self::Flip(at, byte) => bytes[at.index(length)] = *byte,
        }
    }
}
