//! Every file in `cases/` is a table of cases: a title (`###`), options (`$`), files (`---`),
//! and what loading them says (`===`). `UPDATE_CASES=1` writes down what it says now.

mod tables;

use std::fmt::Write;

use keel_spec::service::NetworkMode;
use keel_spec::{Code, Problem, Service, Stack, problem, render};
use tables::Case;

#[test]
fn yaml() {
    table("yaml");
}

#[test]
fn interpolation() {
    table("interpolation");
}

#[test]
fn keys() {
    table("keys");
}

#[test]
fn values() {
    table("values");
}

#[test]
fn environment() {
    table("environment");
}

#[test]
fn references() {
    table("references");
}

#[test]
fn files() {
    table("files");
}

#[test]
fn merge() {
    table("merge");
}

#[test]
fn extends() {
    table("extends");
}

#[test]
fn conformance() {
    table("conformance");
}

#[test]
fn services() {
    table("services");
}

#[test]
fn units() {
    table("units");
}

#[test]
fn resources() {
    table("resources");
}

#[test]
fn merging() {
    table("merging");
}

#[test]
fn deploying() {
    table("deploying");
}

#[test]
fn scheduling() {
    table("scheduling");
}

#[test]
fn dotenv() {
    table("dotenv");
}

#[test]
fn refusals() {
    table("refusals");
}

#[test]
fn advice() {
    table("advice");
}

#[test]
fn rendering() {
    table("render");
}

#[test]
fn typos() {
    table("typos");
}

#[test]
fn include() {
    table("include");
}

fn table(name: &str) {
    let path = tables::path(name);
    let text = std::fs::read_to_string(&path).expect("the table is here");
    let cases = tables::parse(&text);
    if std::env::var_os("UPDATE_CASES").is_some() {
        std::fs::write(
            &path,
            cases.iter().map(|case| tables::written(case, &said(case))).collect::<String>(),
        )
        .expect("it can be written");
        return;
    }
    let failed: Vec<String> = cases.iter().filter_map(difference).collect();
    assert!(
        failed.is_empty(),
        "{name}: {} of {} cases\n{}",
        failed.len(),
        cases.len(),
        failed.concat()
    );
}

fn difference(case: &Case) -> Option<String> {
    let said = said(case);
    let same = said.trim_end() == case.wanted.trim_end();
    (!same).then(|| {
        format!("\n### {}\n=== wanted\n{}\n=== said\n{said}", case.title, case.wanted.trim_end())
    })
}

/// Loads a case: its problems, then its model.
fn said(case: &Case) -> String {
    let rendered = render(&case.project(), &case.files());
    let loaded = &rendered.loaded;
    let mut out = String::new();
    let advised = case.asks_for("advice");
    for found in loaded.problems.iter().filter(|found| advised || !is_advice(found)) {
        let _ = writeln!(out, "{}", problem::render(found, &loaded.texts));
    }
    match (&rendered.document, &loaded.stack) {
        (Some(document), _) if case.asks_for("origins") => {
            out.push_str(&document.yaml_with_origins());
        }
        (Some(document), _) if case.shown().is_some() => {
            let json = document.json();
            for path in case.shown().into_iter().flatten() {
                let pointer = format!("/{}", path.replace('.', "/"));
                let value = json.pointer(&pointer).map_or("nothing".into(), ToString::to_string);
                let _ = writeln!(out, "{path}: {value}");
            }
        }
        (Some(document), _) if case.asks_for("render") => out.push_str(&document.yaml()),
        (_, Some(stack)) => out.push_str(&model(stack)),
        _ => {}
    }
    out
}

/// What would be said of nearly every case, which are not written to run well: only those that
/// ask for it show it.
fn is_advice(found: &Problem) -> bool {
    found.code.id().starts_with("W03") && found.code != Code::PortConflict
}

/// What is not as it would be by default.
fn model(stack: &Stack) -> String {
    let mut out = String::new();
    if stack.name != "blog" {
        let _ = writeln!(out, "name {}", stack.name);
    }
    for (name, service) in &stack.services {
        let _ = writeln!(out, "service {name} {}", brief(service));
        for held in &service.held {
            let _ = writeln!(out, "  held {} at {}: {}", held.path, held.span, held.why);
        }
    }
    let default = |name: &str| name == "default" && stack.networks[name].origins.get("").is_none();
    for (name, network) in stack.networks.iter().filter(|(name, _)| !default(name)) {
        let mut network = network.clone();
        (network.origins, network.held) = Default::default();
        let _ = writeln!(out, "network {name} {}", stripped(&format!("{network:?}"), "Network"));
    }
    for (name, volume) in &stack.volumes {
        let mut volume = volume.clone();
        (volume.origins, volume.held) = Default::default();
        let _ = writeln!(out, "volume {name} {}", stripped(&format!("{volume:?}"), "Volume"));
    }
    for (word, map) in [("config", &stack.configs), ("secret", &stack.secrets)] {
        for (name, config) in map {
            let _ = writeln!(out, "{word} {name} {:?}", config.content);
        }
    }
    out
}

fn brief(service: &Service) -> String {
    let mut service = service.clone();
    (service.origins, service.held) = Default::default();
    service.name.clear();
    if let NetworkMode::Networks(names) = &mut service.networking.mode {
        names.retain(|name, attachment| name != "default" || !attachment.aliases.is_empty());
    }
    stripped(&format!("{service:?}"), "Service")
}

/// The `Debug` of a value without what is empty or by default.
fn stripped(debug: &str, word: &str) -> String {
    let dull = [
        ": None",
        ": []",
        ": {}",
        ": false",
        ": \"\"",
        ": No",
        ": Missing",
        ": Replicated",
        ": RolloutConfig { }",
        ": Deploy { replicas: 1 }",
        ": Networks({})",
        ": Process",
        ": Limits",
        ": Placement",
        ": Security",
        ": Networking",
        ": Policy",
        ": Inherit",
    ];
    let mut text = debug.replace("enabled: true, ", "").replace("enabled: false", "enabled: NO");
    loop {
        let before = text.clone();
        for end in dull {
            let mut from = 0;
            while let Some(found) = text[from..].find(end).map(|at| from + at) {
                let stop = found + end.len();
                let start = text[..found].rfind([' ', '{', '(']).map_or(0, |at| at + 1);
                let whole = match text[stop..].chars().next() {
                    Some(',') => Some(stop + 2),
                    Some(' ') if text[stop..].starts_with(" }") => Some(stop + 1),
                    _ => None,
                };
                match whole {
                    Some(stop) if !text[start..found].contains('"') => {
                        text.replace_range(start..stop, "");
                        from = start;
                    }
                    _ => from = stop,
                }
            }
        }
        for name in ["Process", "Limits", "Placement", "Security", "Networking", "Policy"] {
            text = text
                .replace(&format!("{name} {{ }}"), name)
                .replace(&format!("{name} {{  }}"), name);
        }
        text = text.replace(", }", " }");
        if text == before {
            break;
        }
    }
    let text = text.strip_prefix(word).unwrap_or(&text).trim();
    let text =
        text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text).trim();
    text.replace("Some(", "(")
        .replace(", origins: Origins({})", "")
        .replace("origins: Origins({})", "")
}
