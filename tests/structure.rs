//! What the manifests and sources must keep to: the direction of dependencies, where `unsafe` may
//! be, what a shim may know, and the size of rooms.

#[path = "structure/imports.rs"]
mod imports;
#[path = "structure/modules.rs"]
mod modules;
#[path = "structure/words.rs"]
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the project, tests included.
fn sources() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders: Vec<_> = [
        "src",
        "beneath",
        "blocking",
        "durable",
        "names",
        "plain",
        "testing",
        "spec",
        "engine",
        "reconciler",
        "webhooks",
        "notify",
        "pool",
        "api",
        "tests",
    ]
    .map(|name| root().join(name))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).expect("it is below the root").display().to_string()
}

/// The crates of ours that a manifest depends on.
fn arrows(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).expect("the manifest is there");
    let dependencies = text.split_once("[dependencies]").expect("it has dependencies").1;
    let dependencies = dependencies.split("[dev-dependencies]").next().expect("a first part");
    let names = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| name.starts_with("keel-")).map(str::to_owned).collect()
}

#[test]
fn arrows_point_one_way() {
    let allowed: BTreeMap<_, &[&str]> = [
        ("beneath/Cargo.toml", &[][..]),
        ("blocking/Cargo.toml", &[]),
        ("durable/Cargo.toml", &[]),
        ("names/Cargo.toml", &[]),
        ("plain/Cargo.toml", &[]),
        ("testing/Cargo.toml", &["keel-engine"]),
        ("spec/Cargo.toml", &["keel-names", "keel-plain"]),
        ("engine/Cargo.toml", &["keel-names"]),
        (
            "engine/images/Cargo.toml",
            &["keel-blocking", "keel-durable", "keel-engine", "keel-names"],
        ),
        (
            "engine/embedded/Cargo.toml",
            &[
                "keel-beneath",
                "keel-blocking",
                "keel-durable",
                "keel-names",
                "keel-plain",
                "keel-engine",
                "keel-images",
            ],
        ),
        ("reconciler/plan/Cargo.toml", &["keel-names", "keel-plain", "keel-engine", "keel-spec"]),
        (
            "reconciler/Cargo.toml",
            &[
                "keel-beneath",
                "keel-blocking",
                "keel-durable",
                "keel-names",
                "keel-plain",
                "keel-engine",
                "keel-plan",
                "keel-spec",
            ],
        ),
        ("webhooks/Cargo.toml", &[]),
        ("notify/Cargo.toml", &[]),
        ("pool/Cargo.toml", &["keel-blocking", "keel-durable", "keel-engine", "keel-names"]),
        ("api/Cargo.toml", &["keel-engine", "keel-plan", "keel-reconciler"]),
    ]
    .into();
    for (manifest, allowed) in allowed {
        for arrow in arrows(manifest) {
            assert!(allowed.contains(&arrow.as_str()), "{manifest} may not depend on {arrow}");
        }
    }
}

#[test]
fn pure_crates_name_no_runtime() {
    for (manifest, banned) in [
        ("names/Cargo.toml", &["tokio", "reqwest", "nix", "libc", "rustix"][..]),
        ("spec/Cargo.toml", &["tokio", "reqwest", "nix", "libc", "rustix"]),
        ("engine/Cargo.toml", &["reqwest", "nix", "libc", "rustix"]),
        ("reconciler/plan/Cargo.toml", &["tokio", "reqwest", "nix", "libc", "rustix", "jiff"]),
        ("reconciler/Cargo.toml", &["nix", "libc", "rustix"]),
        ("webhooks/Cargo.toml", &["reqwest", "nix", "libc", "rustix", "git2"]),
        ("notify/Cargo.toml", &["nix", "libc", "rustix", "git2"]),
        ("api/Cargo.toml", &["nix", "libc", "rustix"]),
    ] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        let normal = text.split("[dev-dependencies]").next().unwrap();
        for name in banned {
            let names = normal.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name));
            assert!(!names, "{manifest} may not depend on {name}");
        }
    }
}

/// No build for users has what only tests need: not the fake engine, not the contract suite.
#[test]
fn what_tests_share_is_in_no_build_for_users() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = std::process::Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--package"])
        .args(["keel", "--format", "{p} {f}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    assert!(tree.contains("keel-engine "), "{tree}");
    let test_only = |line: &&str| line.contains("testing");
    assert_eq!(tree.lines().find(test_only), None);
}

#[test]
fn unsafe_lives_in_one_place_with_its_reasons() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !code.contains("unsafe {") && !code.contains("unsafe fn ") {
                continue;
            }
            let place = format!("{}:{}", shown(&path), number + 1);
            if shown(&path) == "tests/structure.rs" {
                continue;
            }
            // git2 has no safe way to register a transport.
            let known = ["engine/embedded/src/sys", "reconciler/src/source/transport.rs"];
            assert!(known.iter().any(|known| shown(&path).starts_with(known)), "unsafe at {place}");
            let before = &lines[number.saturating_sub(12)..number];
            assert!(before.iter().any(|line| line.contains("SAFETY:")), "no SAFETY above {place}");
        }
    }
}

/// Whatever is printed passes one place that escapes it: whoever adds a command cannot forget to.
#[test]
fn only_the_screen_prints() {
    let printers: BTreeMap<_, &[&str]> = [
        // Escapes all that it is given.
        ("src/show/screen.rs", &["stdout()", "stderr()", "\\x1b"][..]),
        // A container's own output, which is what was asked for, beside names that are escaped.
        ("src/follow.rs", &["stdout()", "stderr()"]),
        ("src/talk.rs", &["stdout()", "stderr()"]),
        // A byte for each answer, to the process that waits for it.
        ("engine/embedded/src/task/answering.rs", &["stdout()"]),
        // Questions about the terminal alone.
        ("src/terminal.rs", &["stdout()", "stderr()"]),
        ("src/sudo.rs", &["stderr()"]),
        // Diagnostics, escaped.
        ("src/diagnostics.rs", &["stderr()"]),
        // Errors of the command line, escaped.
        ("src/main.rs", &["stderr()"]),
        // The demo image: what runs in a container.
        ("src/hello.rs", &["println!"]),
        ("src/hello/http.rs", &["println!"]),
        // Failures that escape themselves, into a container's or our own log.
        ("engine/embedded/src/runtime/tiny_init.rs", &["println!"]),
        ("engine/embedded/src/runtime/enter.rs", &["println!"]),
        ("engine/embedded/src/runtime/execute.rs", &["stdout()", "stderr()"]),
        ("engine/embedded/src/shim/mod.rs", &["println!"]),
        ("engine/embedded/src/resolver/mod.rs", &["println!"]),
        ("engine/embedded/src/resolver/server.rs", &["println!"]),
    ]
    .into();
    for path in sources() {
        let name = shown(&path);
        if ["/tests/", "/benches/"].iter().any(|part| name.contains(part))
            || name.starts_with("tests/")
            || is_test(&name)
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
        let may = printers.get(name.as_str()).copied().unwrap_or_default();
        for word in ["println!", "print!(", "stdout()", "stderr()", "\\x1b", "\\u{1b}"] {
            let found = code.iter().find(|line| line.contains(word));
            let allowed = may.contains(&word) || (word == "print!(" && may.contains(&"println!"));
            assert!(found.is_none() || allowed, "{name} prints past the screen: {found:?}");
        }
    }
}

/// Tests among the sources of a crate, which need what is private there.
fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.starts_with("reconciler/src/simulation")
}

/// What a task of a stack shall be, the planner alone decides: only a pass hands over what it planned, and
/// whoever looks after tasks of no stack.
#[test]
fn no_door_leads_past_the_plan() {
    let may = [
        // Its wishes are the plan's.
        "reconciler/src/pass.rs",
        // `keel run`, and what people do with that.
        "reconciler/src/operate/oneoff.rs",
        "reconciler/src/operate/tasks.rs",
    ];
    for path in sources() {
        let name = shown(&path);
        let outside = ["reconciler/src/", "api/src/", "src/"].iter().any(|at| name.starts_with(at));
        if !outside || may.contains(&name.as_str()) || is_test(&name) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in ["Assignment::Task(Box", "TaskAssignment", "plan.wishes()"] {
            // What events may come of it.
            let known = name == "reconciler/src/event_routing.rs" && word == "plan.wishes()";
            assert!(known || !code.contains(word), "{name} decides about tasks: {word}");
        }
    }
}

/// Whoever decides what is planned, noted, told or recorded decides by data: a text is compared with a text, or
/// taken apart, only where what is read is somebody else's. What is checked is the code's own comparisons with
/// literals; `names.contains(&name)` and the like are values.
#[test]
fn nobody_decides_by_words() {
    let rooms = [
        "reconciler/plan/src/",
        "reconciler/src/notices",
        "reconciler/src/operation",
        "reconciler/src/history",
        "reconciler/src/outcome",
        "reconciler/src/trigger",
        "reconciler/src/advice",
        "reconciler/src/record",
        "reconciler/src/operate/trouble",
        "reconciler/src/operate/status",
        "reconciler/src/operate/drift",
        "src/cmd/status",
        "src/cmd/serve/watch",
    ];
    let foreign = [
        // Compose files and paths in them.
        "reconciler/plan/src/lower/",
        // Words of older records and of nodes, but for what counts in them.
        "reconciler/plan/src/why/gist.rs",
        // What an older version recorded of a source.
        "reconciler/src/record/trouble.rs",
        // The addresses that mean all of them.
        "reconciler/plan/src/waits.rs",
    ];
    let apart =
        ["== \"", "!= \"", "contains(\"", "starts_with(\"", "ends_with(\"", "strip_prefix(\""];
    let inside = |name: &str, rooms: &[&str]| rooms.iter().any(|room| name.starts_with(room));
    for path in sources() {
        let name = shown(&path);
        if !inside(&name, &rooms) || inside(&name, &foreign) || name.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let word = apart.iter().find(|word| code.contains(**word));
            assert!(word.is_none(), "{name}:{}: it decides by words: {}", number + 1, line.trim());
        }
    }
}

/// A map that names what is not there is worse than none.
#[test]
fn the_pages_name_files_that_exist() {
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        let spans = prose.split('`').skip(1).step_by(2);
        let tops = [
            "api/",
            "beneath/",
            "blocking/",
            "dist/",
            "docs/",
            "durable/",
            "engine/",
            "examples/",
            "names/",
            "notify/",
            "pool/",
            "reconciler/",
            "spec/",
            "src/",
            "testing/",
            "tests/",
            "webhooks/",
        ];
        let paths = spans.filter(|span| tops.iter().any(|top| span.starts_with(top)));
        for path in paths.filter(|path| !path.contains(' ')) {
            // `spec/src/service/TOPIC.rs` stands for whatever is in its folder.
            let named = path.split(['{', '*']).next().unwrap_or_default();
            let fixed = named.split('/').take_while(|part| part.to_uppercase() != *part);
            let stem = |part: &str| part.trim_end_matches(".rs").to_owned();
            let fixed = fixed.take_while(|part| stem(part).to_uppercase() != stem(part));
            let fixed: PathBuf = fixed.collect();
            assert!(root().join(&fixed).exists(), "{page} names `{path}`");
        }
    }
}

#[test]
fn a_shim_knows_no_runtime() {
    for path in sources() {
        let name = shown(&path);
        if name.contains("embedded/src/shim") || name.contains("embedded/src/runtime") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("tokio"), "{name} names tokio");
        }
    }
}

#[test]
fn rooms_are_small_and_named_by_their_concept() {
    for path in sources() {
        let name = shown(&path);
        let stem = path.file_stem().unwrap().to_string_lossy();
        assert!(
            !["utils", "util", "helpers", "common", "misc", "manager"].contains(&&*stem),
            "{name}"
        );
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines =
            code.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")).count();
        assert!(lines <= 600, "{name} has {lines} lines of code");
    }
}

/// Files of one crate that take from one another in a circle can only be understood, moved and changed together.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let all = sources();
    let mut found = String::new();
    for (folder, root) in CRATES {
        let arrows = imports::arrows(&files_of(folder, &all), root);
        for circle in imports::circles(&arrows) {
            found += &format!("{folder}: {}", imports::told(&circle, &arrows));
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// Where each crate's sources are, and the file of its root.
const CRATES: [(&str, &str); 17] = [
    ("api/src", "lib.rs"),
    ("beneath/src", "lib.rs"),
    ("blocking/src", "lib.rs"),
    ("durable/src", "lib.rs"),
    ("engine/src", "lib.rs"),
    ("engine/embedded/src", "lib.rs"),
    ("engine/images/src", "lib.rs"),
    ("names/src", "lib.rs"),
    ("notify/src", "lib.rs"),
    ("plain/src", "lib.rs"),
    ("pool/src", "lib.rs"),
    ("reconciler/src", "lib.rs"),
    ("reconciler/plan/src", "lib.rs"),
    ("spec/src", "lib.rs"),
    ("src", "main.rs"),
    ("testing/src", "lib.rs"),
    ("webhooks/src", "lib.rs"),
];

/// A crate's files by their paths below its folder.
fn files_of(folder: &str, all: &[PathBuf]) -> modules::Files {
    let folder = root().join(folder);
    let own = all.iter().filter_map(|path| {
        let name = path.strip_prefix(&folder).ok()?.display().to_string();
        Some((name, fs::read_to_string(path).expect("the file is there")))
    });
    own.collect()
}
