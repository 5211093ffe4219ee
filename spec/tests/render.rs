//! Rendering: its own output renders as itself, and says the same as JSON.

mod tables;

use keel_spec::{Memory, Project, Rendered, render};
use tables::Case;

/// Renders a text in a folder of its own, with the variables of the case that it came from.
fn again(text: &str, case: &Case) -> Rendered {
    let files = Memory::default().with("/srv/again/compose.yaml", text);
    let mut environment = case.project().environment;
    environment.remove("COMPOSE_FILE");
    environment.remove("COMPOSE_ENV_FILES");
    render(&Project { environment, ..Project::new("/srv/again") }, &files)
}

#[test]
fn what_is_rendered_renders_as_itself() {
    let mut rendered = 0;
    for case in tables::all() {
        let Some(first) = render(&case.project(), &case.files()).document else { continue };
        rendered += 1;
        let second = again(&first.yaml(), &case);
        let Some(second) = second.document else {
            let problems = &second.loaded.problems;
            panic!("{}\n{}\n{problems:#?}", case.title, first.yaml());
        };
        assert_eq!(second.yaml(), first.yaml(), "{}", case.title);
        assert_eq!(second.json(), first.json(), "{}", case.title);
        assert_eq!(second.hashes(), first.hashes(), "{}", case.title);
    }
    assert!(rendered > 60, "{rendered} cases render");
}

#[test]
fn origins_are_comments_only() {
    for case in tables::all() {
        let Some(document) = render(&case.project(), &case.files()).document else { continue };
        let with = again(&document.yaml_with_origins(), &case).document;
        let without = again(&document.yaml(), &case).document;
        let text = |document: Option<keel_spec::Document>| document.map(|document| document.yaml());
        assert_eq!(text(with), text(without), "{}", case.title);
    }
}

/// What is published as the shape of `render --format json` has all of the model, and nothing else.
#[test]
fn the_sections_are_the_whole_model() {
    for case in tables::all() {
        let Some(document) = render(&case.project(), &case.files()).document else { continue };
        let sections = serde_json::to_string(&document.sections()).unwrap();
        assert_eq!(sections, document.json().to_string(), "{}", case.title);
    }
}

#[test]
fn json_is_also_a_compose_file() {
    for case in tables::all() {
        let Some(document) = render(&case.project(), &case.files()).document else { continue };
        let Some(by_json) = again(&document.json().to_string(), &case).document else { continue };
        assert_eq!(by_json.json(), document.json(), "{}", case.title);
    }
}
